// The two sides of the fleet bench as processes of their own: `door FOLDER ADDRESS` is the controller's HTTP door with its tracker, `machine FILE DOOR
// MANIFEST ADDRESS` is what `nixie-agent --fetch` runs. Both say `ready`; a machine begins when it is sent a line and says how it went.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type FetchParts, fetchImage } from '../../agent/src/fleet/fetch.ts';
import { realClock } from '../../agent/src/host.ts';
import { startHttp } from '../../controller/src/listen/http.ts';
import { parseMac } from '../../controller/src/machine/mac.ts';
import { storeReader } from '../../controller/src/nix/store-reader.ts';
import { chunkBytesFor, writeManifest } from '../../proto/fleet.ts';

const fileOf = (path: string) => {
  const bytes = readFileSync(path);
  return { path, size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
};

async function door(folder: string, address: string): Promise<void> {
  const image = fileOf(join(folder, 'image'));
  const { sha256, chunks } = await storeReader().chunkHashes(image.path, chunkBytesFor(image.size));
  writeFileSync(join(folder, 'manifest'), writeManifest({ sha256, bytes: image.size, chunks }));
  const manifest = fileOf(join(folder, 'manifest'));
  await startHttp({
    addresses: [address],
    port: 7480,
    script: () => ({ refuse: 'none' }),
    loaders: new Map(),
    files: new Map([
      [`${image.sha256}/image`, image],
      [`${manifest.sha256}/manifest`, manifest],
    ]),
    macAt: () => parseMac('52:54:00:00:00:01'),
  });
  console.log(`ready ${manifest.sha256}`);
}

async function machine(file: string, host: string, manifestSha256: string): Promise<void> {
  console.log('ready');
  await new Promise((resolve) => process.stdin.once('data', resolve));
  const parts: FetchParts = {
    doors: [{ host, port: 7480 }],
    manifestSha256,
    file,
    clock: realClock,
    signal: AbortSignal.timeout(300_000),
    log: console.log,
  };
  const { seconds, fromDoorBytes, fromPeersBytes } = await fetchImage(parts);
  console.log(`done ${JSON.stringify({ seconds, fromDoorBytes, fromPeersBytes })}`);
}

const [role, ...rest] = process.argv.slice(2) as [string, string, string, string];
if (role === 'door') await door(rest[0], rest[1]);
else await machine(rest[0], rest[1], rest[2]);
