// The binary cache of a controller and nothing else of it, for tests and benchmarks: `serve-cache.ts ADDRESS PORT KEY_FILE LIE TOPLEVEL…` serves the
// closures over the product's own HTTP server, until it is ended. LIE: none, or how it goes wrong; relay: as a relay serves them.
import type { ServerResponse } from 'node:http';
import { after, sleep } from '../../../controller/src/clock.ts';
import { startHttp } from '../../../controller/src/listen/http.ts';
import { type NixDoor, storeDoor } from '../../../controller/src/listen/http-nix.ts';
import { BinaryCache, type PathTable, type ServedPath } from '../../../controller/src/nix/binary-cache.ts';
import { closureOf } from '../../../controller/src/nix/closure.ts';
import { nixRunner } from '../../../controller/src/nix/command.ts';
import { narOf } from '../../../controller/src/nix/nar.ts';
import { makeCacheKey } from '../../../controller/src/nix/narinfo.ts';
import { Cache } from '../../../controller/src/relay/cache.ts';
import { type FetchBytes, NotThere } from '../../../controller/src/relay/fetching.ts';
import { NixStore } from '../../../controller/src/relay/nix-store.ts';
import { Problems } from '../../../controller/src/relay/problems.ts';
import { loadCacheKey } from '../../../controller/src/store/cache-key.ts';

const [address = '', port = '0', keyFile = '', lie = 'none', ...toplevels] = process.argv.slice(2);
const env = Object.fromEntries(Object.entries(process.env).map(([name, value]) => [name, value ?? '']));
const run = nixRunner({ env });
const cache = new BinaryCache(loadCacheKey(keyFile));
cache.serve(await Promise.all(toplevels.map((out) => closureOf(out, { run }))));
const other = new BinaryCache(makeCacheKey('other-1'));
other.serve(await Promise.all(toplevels.map((out) => closureOf(out, { run }))));

let dead = false;
const table: PathTable = {
  info: () => cache.info(),
  narInfo: (hash) => (lie === 'signature' ? other : cache).narInfo(hash),
  served: (hash) => cache.served(hash),
};
const door = storeDoor({ table, env });
let asked = 0;

/** One byte is another, or the second half is missing. */
async function wrongBytes(response: ServerResponse, { path, narSize }: ServedPath): Promise<void> {
  const nar = await narOf(path, narSize);
  const middle = Math.floor(nar.length / 2);
  response.writeHead(200, { 'Content-Type': 'application/x-nix-nar', 'Content-Length': nar.length });
  if (lie === 'truncated') {
    response.write(nar.subarray(0, middle), () => response.destroy());
    return;
  }
  nar[middle]! ^= 1;
  response.end(nar);
}

const ofController: NixDoor = (request, response, ask) => {
  const served = ask.kind === 'nar' ? cache.served(ask.hash) : undefined;
  if (served !== undefined) asked++;
  if (lie === 'dies' && served !== undefined && asked > 2) dead = true;
  if (dead) request.socket.destroy();
  else if (served !== undefined && (lie === 'bytes' || lie === 'truncated')) void wrongBytes(response, served);
  else if (served !== undefined && lie === 'one' && asked === 2) void wrongBytes(response, served);
  else if (lie === 'missing' && ask.kind !== 'info') response.writeHead(404, { 'Content-Length': 0 }).end();
  else door.answer(request, response, ask);
};

/** What crosses the uplink of a relay. */
const crossed: string[] = [];
const fetch: FetchBytes = async function* (what, offset) {
  crossed.push(what.$case);
  const served = cache.served(what.value);
  if (served === undefined) throw new NotThere('not of this cache');
  const bytes =
    what.$case === 'narinfo' ? Buffer.from(cache.narInfo(what.value) ?? '') : await narOf(served.path, served.narSize);
  for (let at = offset; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
};
function relayDoor(): NixDoor {
  const ticks = () => performance.now();
  const problems = new Problems((text) => process.stdout.write(`${text}\n`), ticks);
  const world = { fetch, problems, after, sleep, ticks, now: () => Date.now() };
  const files = new Cache(`${keyFile}.files`, 1 << 30, world);
  const store = new NixStore(`${keyFile}.narinfo`, { ...world, cache: files });
  store.useKey(cache.publicKey);
  return store.door;
}
const nix = lie === 'relay' ? relayDoor() : ofController;
const server = await startHttp({
  addresses: [address],
  port: Number(port),
  script: () => ({ refuse: 'only a cache' }),
  loaders: new Map(),
  nix,
});
process.stdout.write(`serving ${cache.size} paths at ${address}:${server.port} by ${cache.publicKey}\n`);
process.on('SIGTERM', () => {
  const { narInfos, nars, narBytes, refused } = door.counters();
  process.stdout.write(
    `served ${JSON.stringify({ narInfos, nars, narBytes, refused, asked, crossed: crossed.length })}\n`,
  );
  process.exit(0);
});
