// `npm run bench -- copy [--rounds N] [--megabytes N] [--link MBIT] [--json]`: a closure into the target's new disk as Nixie drives nixos-anywhere
// (binary cache), and by nixos-anywhere called plainly (ssh with its compression), on a link shaped by tbf. Order A B B A; medians. The time is that
// between nixos-anywhere's heading of the copy and its next one. What the link gives is told twice: as it is shaped, and as one TCP stream of as many
// bytes gets through in the same run, which falls with the copy when the computer is busy. Beside them, not judged: Nixie without its cache (ssh
// without compression).
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { cacheSettings } from '../../agent/src/use-cache.ts';
import { makeRunFolder } from '../../controller/src/install/folders.ts';
import { keygen, makeKey } from '../../controller/src/install/keys.ts';
import { openMaster } from '../../controller/src/install/master.ts';
import { planPhase } from '../../controller/src/install/plan.ts';
import { type CopyState, readProgress } from '../../controller/src/install/progress.ts';
import { runPhase } from '../../controller/src/install/run.ts';
import { writeShim } from '../../controller/src/install/shim.ts';
import { type Child, run, start, stopAll } from '../lab/child.ts';
import { needNetns, needPrograms } from '../lab/need.ts';
import {
  controllerAddress,
  makeTarget,
  type Target,
  type ToySystem,
  targetAddress,
} from '../lab/nixos-anywhere/target.ts';
import { writePackagedFlake } from './copy-closure.ts';
import { figureLines, median } from './figures.ts';

type Way = 'cache' | 'push' | 'plain';

const streamPort = 8081;

const searchPath = '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin';
const serveCache = new URL('../lab/nixos-anywhere/serve-cache.ts', import.meta.url).pathname;
const port = 7480;
const deadlineMs = 3_600_000;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '6' },
    megabytes: { type: 'string', default: '1000' },
    link: { type: 'string', default: '1000' },
    json: { type: 'boolean', default: false },
  },
});
const [rounds, megabytes, link] = [values.rounds, values.megabytes, values.link].map(Number) as [
  number,
  number,
  number,
];
for (const [name, value] of Object.entries({ rounds, megabytes, link }))
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name}: found ${value}, want a whole number from 1`);
const say = (text: string): void => {
  if (!values.json) console.log(text);
};
const missing = [
  needNetns,
  needPrograms(['nix', 'nix-store', 'ssh', 'sshd', 'unshare', 'nsenter', 'busybox', 'dpkg-query', 'tar', 'tc']),
]
  .map((need) => need())
  .filter((why) => why !== undefined);
if (missing.length > 0) {
  console.error(`bench copy: skipped: ${missing.join('; ')}`);
  process.exit(0);
}

const state = mkdtempSync(join(tmpdir(), 'nixie-bench-copy-'));
const target = await makeTarget();
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void target.close().finally(() => process.exit(130)));

async function shape(mebit: number, at: Target): Promise<void> {
  const queue = `tc qdisc replace dev eth0 root tbf rate ${mebit}mbit burst 256kb latency 50ms`;
  await at.inside(queue);
  await run([at.inNet, 'sh', '-c', queue]);
}

/** One TCP stream of so many bytes, which no disk gives and none takes; its seconds. */
async function stream(bytes: number): Promise<number> {
  truncateSync(join(state, 'www/bytes'), bytes);
  const words = ['busybox', 'httpd', '-f', '-p', `${controllerAddress}:${streamPort}`, '-h', join(state, 'www')];
  const server = start([target.inNet, ...words], { deadlineMs });
  const url = `http://${controllerAddress}:${streamPort}`;
  const get = (name: string) => target.inside(`busybox wget -q -O /dev/null ${url}/${name}`);
  try {
    for (let tries = 0; ; tries++) {
      const up = await get('nothing').then(
        () => true,
        () => false,
      );
      if (up) break;
      if (tries > 100) throw new Error('bench copy: busybox httpd does not start');
      await sleep(50);
    }
    const began = performance.now();
    await get('bytes');
    return (performance.now() - began) / 1000;
  } finally {
    await server.stop(1000);
  }
}

/** One copy; its seconds. */
async function copy(way: Way, system: ToySystem, keyFile: string, publicKey: string): Promise<number> {
  await target.inside('rm -rf /root/.cache /root/.config; chmod -R u+w /nix/store; rm -rf /nix/store/* /nix/var');
  const lines = way === 'cache' ? cacheSettings({ port, path: '/nix', publicKey }, `${controllerAddress}:7481`) : [];
  const words = lines.map((line) => `'${line}'`).join(' ');
  if (lines.length > 0)
    await target.inside(`mkdir -p /root/.config/nix; printf '%s\\n' ${words} > /root/.config/nix/nix.conf`);
  const folder = await makeRunFolder(state);
  let began: number | undefined;
  let ended: number | undefined;
  let seen: CopyState | undefined;
  const reader = readProgress();
  const controlPath = join(folder.keys, 'login');
  try {
    const shim = { folder: folder.shim, realSsh: target.ssh, hostKeys: [target.hostKey], controlPath };
    if (way !== 'plain') await writeShim(shim);
    const master =
      way === 'plain'
        ? undefined
        : await openMaster({
            realSsh: target.ssh,
            knownHosts: join(folder.shim, 'known_hosts'),
            keyFile,
            address: targetAddress,
            controlPath,
            searchPath,
          });
    const plan = planPhase({
      phase: 'install',
      host: 'bench',
      address: targetAddress,
      program: target.program,
      ...system,
      keyFile,
      paths: folder,
      searchPath,
      env: target.env,
    });
    const result = await runPhase({
      plan,
      address: targetAddress,
      onEvent: (event) => {
        if (event.kind === 'line') reader.read(event.text, event.atMs);
        if (event.kind !== 'step') return;
        if (event.step === 'copy') began = performance.now();
        else if (began !== undefined) ended ??= performance.now();
        seen ??= event.step === 'install' ? reader.copy : undefined;
      },
    });
    master?.close();
    if (!result.ok || began === undefined || ended === undefined)
      throw new Error(
        `bench copy: ${way}: ${result.ok ? 'no copy was seen' : `${result.sentence}\n${result.tail.join('\n')}`}`,
      );
    const { fetched, pushed } = seen ?? reader.copy;
    if (way === 'cache' ? pushed > 0 : fetched > 0)
      throw new Error(`bench copy: ${way}: ${fetched} paths were fetched and ${pushed} pushed`);
    return (ended - began) / 1000;
  } finally {
    await folder.remove();
  }
}

try {
  const key = await makeKey(state, 'run', 'nixie-bench', keygen(searchPath));
  writeFileSync(
    join(target.folder, 'target/conf/nix.conf'),
    'experimental-features = nix-command flakes\nsandbox = false\nbuild-users-group =\nsubstituters = auto?trusted=1\nfsync-metadata = false\n',
  );
  const made = writePackagedFlake(target.flake, megabytes * 1e6);
  say(`bench copy: building a closure of ${made.packages} packages, ${(made.bytes / 1e6).toFixed(0)} MB`);
  const system = (await target.build(['bench'])).bench!;
  const env = { ...process.env, ...target.env };
  const info = await run([target.inStore, 'nix', 'path-info', '-r', '-s', system.toplevel], { env });
  const sizes = info.stdout
    .trim()
    .split('\n')
    .map((line) => Number(line.trim().split(/\s+/)[1]));
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  let publicKey: string | undefined;
  const cache: Child = start(
    [
      target.inStore,
      process.execPath,
      serveCache,
      controllerAddress,
      String(port),
      join(state, 'cache-key'),
      'none',
      system.toplevel,
    ],
    {
      deadlineMs,
      env,
      onLine: (line) => {
        publicKey ??= / by (\S+)$/.exec(line)?.[1];
      },
    },
  );
  for (let tries = 0; publicKey === undefined; tries++) {
    if (tries > 600) throw new Error('bench copy: the cache does not start');
    await sleep(50);
  }
  mkdirSync(join(state, 'www'));
  for (const name of ['nothing', 'bytes']) writeFileSync(join(state, 'www', name), '');
  const perSecond: Record<Way, number[]> = { cache: [], push: [], plain: [] };
  const streams: number[] = [];
  const ways: Way[] = Array.from({ length: rounds }, (_, i) =>
    i % 2 === 0 ? ['plain', 'cache'] : ['cache', 'plain'],
  ).flat() as Way[];
  // Not judged, so twice is enough.
  ways.push('push', 'push');
  for (const way of ways) {
    await target.reset([key.publicKey]);
    await shape(link, target);
    const seconds = await copy(way, system, key.privateFile, publicKey);
    perSecond[way].push(bytes / 1e6 / seconds);
    say(`${way.padEnd(6)} ${seconds.toFixed(1)} s, ${(bytes / 1e6 / seconds).toFixed(1)} MB/s`);
    if (way !== 'cache') continue;
    streams.push(bytes / 1e6 / (await stream(bytes)));
    say(`stream ${(bytes / 1e6 / streams.at(-1)!).toFixed(1)} s, ${streams.at(-1)!.toFixed(1)} MB/s`);
  }
  await cache.stop(2000);
  const peer = `nixos-anywhere called plainly${target.isStandIn ? ' (the stand-in)' : ''}, ssh with compression`;
  const lineRate = (link * 1e6) / 8 / 1e6;
  say(
    `\n${sizes.length} paths, ${(bytes / 1e6).toFixed(0)} MB of NARs, link ${link} Mbit/s (tbf, burst 256 kB, both ways), nix 2.8 both sides, target's disk in memory`,
  );
  say(`without the cache (push over ssh without compression): ${median(perSecond.push).toFixed(1)} MB/s\n`);
  const lines = figureLines(
    'copy',
    [
      {
        figure: 'closure against plain, MB/s',
        values: perSecond.cache,
        peer,
        peerValues: perSecond.plain,
        goal: 4,
        want: 'at least',
      },
      {
        figure: 'closure against a stream, MB/s',
        values: perSecond.cache,
        peer: 'one TCP stream (busybox httpd, wget)',
        peerValues: streams,
        goal: 0.85,
        want: 'at least',
      },
      {
        figure: 'closure against the link, MB/s',
        values: perSecond.cache,
        peer: `the link, ${link} Mbit/s`,
        peerValues: [lineRate],
        goal: 0.85,
        want: 'at least',
      },
    ],
    values.json,
  );
  for (const line of lines) console.log(line);
} finally {
  await stopAll();
  await target.close();
  rmSync(state, { recursive: true, force: true });
}
