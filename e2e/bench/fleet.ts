// `npm run bench -- fleet [--rounds N] [--rate MBIT] [--megabytes N] [--machines N] [--json]`: an image to machines in network namespaces whose links are
// all shaped to one rate both ways, by Nixie's fetcher and tracker, by nginx to each, and by uftp's multicast. `--simulate`: in virtual time instead, up
// to a thousand machines; with `--plot FILE.svg` as a curve, too. The first figure is the size of what can't be got from others: the boot stage of the lab's installer.
import { createHash, randomBytes } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Child, run, start } from '../lab/child.ts';
import { prepareLab } from '../lab/image/build.ts';
import { partSizes } from '../lab/image/part-sizes.ts';
import { needFiles, needNetns, needPrograms } from '../lab/need.ts';
import { lan, makeNetwork, type Network, runId } from '../lab/net.ts';
import { agentFile } from '../lab/supplies.ts';
import { figureLines, median } from './figures.ts';
import { type FleetRow, fleetCases, fleetPlot, simulatedTable } from './fleet-table.ts';
import { drawPlot } from './plot.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '6' },
    rate: { type: 'string', default: '200' },
    megabytes: { type: 'string', default: '64' },
    machines: { type: 'string', default: '8' },
    json: { type: 'boolean', default: false },
    simulate: { type: 'boolean', default: false },
    plot: { type: 'string' },
  },
});
const say = (line: string): void => (values.json ? console.error(line) : console.log(line));

if (values.simulate) {
  const rows: FleetRow[] = [];
  for (const line of simulatedTable(values.json, fleetCases(), (row) => rows.push(row))) console.log(line);
  if (values.plot !== undefined) drawPlot(fleetPlot(rows, 1), values.plot);
  process.exit(0);
}
const missing = [needNetns, needPrograms(['nginx', 'curl', 'tc', 'uftp', 'uftpd'])].flatMap((need) => need() ?? []);
if (missing.length > 0) {
  say(`bench fleet: skipped: ${missing.join('; ')}`);
  process.exit(0);
}

const count = Number(values.machines);
const rateMbit = Number(values.rate);
const imageBytes = Number(values.megabytes) << 20;
const rounds = Math.max(1, Math.min(20, Number(values.rounds) || 6));
const deadlineMs = 300_000;

interface Round {
  readonly seconds: number;
  /** By the server's link, with all headers. */
  readonly originBytes: number;
}

class Fleet {
  readonly net: Network;
  readonly folder: string;
  readonly machines: readonly string[];
  readonly hash: string;

  private constructor(net: Network, folder: string, machines: readonly string[], hash: string) {
    this.net = net;
    this.folder = folder;
    this.machines = machines;
    this.hash = hash;
  }

  static async make(): Promise<Fleet> {
    const folder = join(tmpdir(), runId());
    mkdirSync(join(folder, 'www'), { recursive: true, mode: 0o755 });
    // Nobody's disk is measured.
    await run([
      'mount',
      '-t',
      'tmpfs',
      '-o',
      `size=${((count + 2) * imageBytes + (64 << 20)) >> 20}m`,
      'nixie-bench',
      folder,
    ]);
    mkdirSync(join(folder, 'www'), { mode: 0o755 });
    const image = randomBytes(imageBytes);
    writeFileSync(join(folder, 'image'), image);
    copyFileSync(join(folder, 'image'), join(folder, 'www/image'));
    const net = await makeNetwork();
    const machines: string[] = [];
    for (let i = 0; i < count; i++) machines.push(await net.addServer(`m${i}`, `${lan.prefix}.${11 + i}`));
    for (const [namespace, port] of [[net.srv, 'v-srv'], ...machines.map((name, i) => [name, `v-m${i}`])] as [
      string,
      string,
    ][]) {
      const shape = ['root', 'tbf', 'rate', `${rateMbit}mbit`, 'burst', '256kb', 'limit', '1mb'];
      await run(net.inside(namespace, ['tc', 'qdisc', 'add', 'dev', 'eth0', ...shape]));
      await run(net.inside(net.lan, ['tc', 'qdisc', 'add', 'dev', port, ...shape]));
      await run(net.inside(namespace, ['ip', 'route', 'add', '224.0.0.0/4', 'dev', 'eth0']));
    }
    return new Fleet(net, folder, machines, createHash('sha256').update(image).digest('hex'));
  }

  async originBytes(): Promise<number> {
    const { stdout } = await run(this.net.inside(this.net.srv, ['cat', '/sys/class/net/eth0/statistics/tx_bytes']));
    return Number(stdout);
  }

  /** Where a machine puts what it gets. */
  file(machine: number): string {
    const folder = join(this.folder, `m${machine}`);
    mkdirSync(folder, { recursive: true });
    return join(folder, 'image');
  }

  /** What came is what was sent; then it is taken away. */
  check(who: string): void {
    for (const [i] of this.machines.entries()) {
      const found = createHash('sha256')
        .update(readFileSync(this.file(i)))
        .digest('hex');
      if (found !== this.hash) throw new Error(`${who}: machine ${i} has another image`);
      rmSync(join(this.folder, `m${i}`), { recursive: true });
    }
  }

  async close(): Promise<void> {
    await this.net.close();
    await run(['umount', '-l', this.folder], { accept: true });
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A child that says a line; resolves with it. */
function saying(argv: readonly string[], pattern: RegExp): { child: Child; said: Promise<string> } {
  const line = Promise.withResolvers<string>();
  const last: string[] = [];
  const child = start(argv, {
    deadlineMs,
    stdin: 'pipe',
    onLine(text) {
      last.push(text);
      if (pattern.test(text)) line.resolve(text);
    },
  });
  child.exited.then(
    () => line.reject(new Error(`${argv.slice(-4).join(' ')} ended:\n${last.slice(-5).join('\n')}`)),
    line.reject,
  );
  line.promise.catch(() => {});
  return { child, said: line.promise };
}

const role = join(import.meta.dirname, 'fleet-role.ts');

async function byNixie(fleet: Fleet): Promise<Round> {
  const { net } = fleet;
  const door = saying(net.inside(net.srv, [process.execPath, role, 'door', fleet.folder, lan.nixie]), /^ready/);
  const children = [door.child];
  try {
    const manifest = (await door.said).split(' ')[1]!;
    const machines = fleet.machines.map((namespace, i) => {
      const argv = [process.execPath, role, 'machine', fleet.file(i), lan.nixie, manifest];
      const done = Promise.withResolvers<void>();
      const ready = Promise.withResolvers<void>();
      const child = start(net.inside(namespace, argv), {
        deadlineMs,
        stdin: 'pipe',
        onLine(text) {
          if (text === 'ready') ready.resolve();
          if (text.startsWith('done')) done.resolve();
        },
      });
      child.exited.then(() => done.reject(new Error(`machine ${i} ended`)), done.reject);
      done.promise.catch(() => {});
      children.push(child);
      return { child, ready: ready.promise, done: done.promise };
    });
    await Promise.all(machines.map(({ ready }) => ready));
    const before = await fleet.originBytes();
    const began = performance.now();
    for (const { child } of machines) child.write('go\n');
    await Promise.all(machines.map(({ done }) => done));
    return { seconds: (performance.now() - began) / 1000, originBytes: (await fleet.originBytes()) - before };
  } finally {
    await Promise.all(children.map((child) => child.stop(1000)));
  }
}

async function byUnicast(fleet: Fleet): Promise<Round> {
  const { net, folder } = fleet;
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; user root; worker_processes 1; pid ${folder}/nginx.pid; error_log stderr error; events { }
http { access_log off; sendfile on; tcp_nopush on; client_body_temp_path ${folder}/b; proxy_temp_path ${folder}/p; fastcgi_temp_path ${folder}/f;
  uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s; server { listen 80; root ${folder}/www; } }
`,
  );
  const web = start(net.inside(net.srv, ['nginx', '-c', join(folder, 'nginx.conf'), '-p', folder]), { deadlineMs });
  try {
    const probe = [
      'curl',
      '-sf',
      '-o',
      '/dev/null',
      '-r',
      '0-0',
      '--retry',
      '50',
      '--retry-delay',
      '0',
      '--retry-connrefused',
      `http://${lan.nixie}/image`,
    ];
    await run(net.inside(fleet.machines[0]!, probe));
    const before = await fleet.originBytes();
    const began = performance.now();
    await Promise.all(
      fleet.machines.map((namespace, i) =>
        run(net.inside(namespace, ['curl', '-sf', '-o', fleet.file(i), `http://${lan.nixie}/image`]), { deadlineMs }),
      ),
    );
    return { seconds: (performance.now() - began) / 1000, originBytes: (await fleet.originBytes()) - before };
  } finally {
    await web.stop(1000);
  }
}

/** Its rate just below the link's, its timers as short as they may be. */
async function byMulticast(fleet: Fleet): Promise<Round> {
  const { net, folder } = fleet;
  const group = ['-M', '230.4.4.1'];
  const clients = fleet.machines.map((namespace, i) => {
    const place = join(fleet.file(i), '..');
    return start(
      net.inside(namespace, ['uftpd', '-d', ...group, '-I', 'eth0', '-D', place, '-L', join(folder, `uftpd${i}`)]),
      {
        deadlineMs,
      },
    );
  });
  try {
    // It has no way to say that it listens.
    await new Promise((resolve) => setTimeout(resolve, 500));
    const before = await fleet.originBytes();
    const began = performance.now();
    const kbit = String(Math.round(rateMbit * 0.92) * 1000);
    const speed = ['-R', kbit, '-b', '1400', '-r', '0.1:0.01:1'];
    await run(
      net.inside(net.srv, ['uftp', ...group, '-P', '230.5.5.x', '-I', 'eth0', ...speed, join(folder, 'image')]),
      {
        deadlineMs,
      },
    );
    return { seconds: (performance.now() - began) / 1000, originBytes: (await fleet.originBytes()) - before };
  } finally {
    await Promise.all(clients.map((client) => client.stop(1000)));
  }
}

const ways = { nixie: byNixie, unicast: byUnicast, multicast: byMulticast };
const results: Record<keyof typeof ways, Round[]> = { nixie: [], unicast: [], multicast: [] };
const fleet = await Fleet.make();
const close = (): void => void fleet.close().then(() => process.exit(130));
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, close);
try {
  for (let round = 0; round < rounds; round++) {
    const order = (['nixie', 'unicast', 'multicast'] as const).slice();
    for (const who of round % 2 === 0 ? order : order.reverse()) {
      const result = await ways[who](fleet);
      fleet.check(who);
      results[who].push(result);
      say(
        `${who.padEnd(10)} last of ${count} after ${result.seconds.toFixed(2)} s, origin sent ${(result.originBytes / 1e6).toFixed(0)} MB`,
      );
    }
  }
} finally {
  await fleet.close();
}
const seconds = (who: keyof typeof ways): number[] => results[who].map((round) => round.seconds);
const wire = (imageBytes * 8) / (rateMbit * 1e6);
const settings = `${values.megabytes} MiB to ${count} machines, every link ${rateMbit} Mbit/s both ways (tbf)`;
say(
  `\n${settings}; nginx: sendfile, 1 worker, curl; uftp: 92 % of the rate, GRTT from 0.1 s; ${rounds} rounds, A B C C B A`,
);
/** Of the lab's installer; undefined where it can't be built. */
async function bootStageBytes(): Promise<number | undefined> {
  const missing = [needPrograms(['nix', 'apt-get', 'dpkg-deb', 'unshare']), needFiles([agentFile])].flatMap(
    (need) => need() ?? [],
  );
  if (missing.length > 0) {
    say(`boot stage: not built: ${missing.join('; ')}`);
    return undefined;
  }
  const lab = await prepareLab({ agent: agentFile });
  const installer = `${lab.flake}#nixosConfigurations.fleet-installer`;
  const { kernel, initrd, image } = await partSizes(installer, (argv) => lab.run(argv), lab.onHost);
  say(`boot stage of the lab: kernel ${kernel} bytes, initrd ${initrd}; image ${image}`);
  return kernel + initrd;
}
const bootStage = await bootStageBytes();
for (const line of figureLines(
  'fleet',
  [
    ...(bootStage === undefined
      ? []
      : [
          {
            figure: 'boot stage, kernel and initrd of the lab, bytes',
            values: [bootStage],
            peer: 'wanted',
            peerValues: [20e6],
            goal: 1,
          },
        ]),
    {
      figure: `last of ${count}, s`,
      values: seconds('nixie'),
      peer: 'nginx unicast',
      peerValues: seconds('unicast'),
      goal: 0.2,
    },
    { figure: `last of ${count}, s`, values: seconds('nixie'), peer: 'size ÷ uplink', peerValues: [wire], goal: 1.6 },
    {
      figure: `last of ${count}, s`,
      values: seconds('nixie'),
      peer: 'uftp multicast',
      peerValues: seconds('multicast'),
      goal: 1,
    },
    {
      figure: 'origin sent, bytes',
      values: results.nixie.map((round) => round.originBytes),
      peer: 'image',
      peerValues: [imageBytes],
      goal: 1.2,
    },
  ],
  values.json,
))
  console.log(line);
say(`faster than unicast: ${(median(seconds('unicast')) / median(seconds('nixie'))).toFixed(1)} times`);
