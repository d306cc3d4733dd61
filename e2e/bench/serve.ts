// The servers of Nixie, each as its own code runs it, in a process that a benchmark can count: `serve.ts ROLE SETTINGS`. Says `ready`, answers lines on
// its standard input, and ends with it.
import { createHash, hkdfSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import tls from 'node:tls';
import type { Scene } from '../../controller/src/answer/scene.ts';
import { LogIntake } from '../../controller/src/core/log-intake.ts';
import { planNetwork } from '../../controller/src/core/network.ts';
import { startAgentServer } from '../../controller/src/listen/agents.ts';
import { startBootServer } from '../../controller/src/listen/boot-server.ts';
import { startHttp } from '../../controller/src/listen/http.ts';
import { chooseInterfaces, listInterfaces } from '../../controller/src/listen/interfaces.ts';
import type { Host } from '../../controller/src/machine/host.ts';
import type { Mac } from '../../controller/src/machine/mac.ts';
import { readCredential } from '../../controller/src/machine/token.ts';
import { readLeases, writeLeases } from '../../controller/src/store/leases.ts';
import type { ControllerTls } from '../../controller/src/store/tls.ts';

export interface BootSettings {
  readonly device: string;
  readonly address: string;
  readonly macs: readonly string[];
  /** File of leases; absent: proxy. */
  readonly leases?: string;
  /** By name. */
  readonly files: Readonly<Record<string, string>>;
  /** An agent server in the same process. */
  readonly agents?: AgentSettings;
}

export interface AgentSettings {
  readonly address: string;
  readonly tls: Pick<ControllerTls, 'certPem' | 'keyPem'>;
  readonly mostSessions: number;
}

export interface HttpSettings {
  readonly address: string;
  readonly file: string;
  readonly sha256: string;
  readonly size: number;
  /** `child`: as it is; `stream`: all by Node. */
  readonly way: 'child' | 'stream';
}

export const credentialSecret = (keyPem: string): Buffer =>
  Buffer.from(hkdfSync('sha256', keyPem, '', 'nixie bench', 32));
export const ports = { http: 7480, agents: 7481, tls: 7482 } as const;

async function boot(settings: BootSettings): Promise<Answers> {
  const host = (mac: string, i: number): Host =>
    ({ name: `m${i}`, macs: [mac as Mac], system: 'x86_64-linux' }) as never;
  const hosts = settings.macs.map(host);
  let addresses: Readonly<Record<string, string>> = {};
  let range = {};
  const beganMs = performance.now();
  if (settings.leases !== undefined) {
    // As a run does it: every machine has its address, and it is on the disk, before anything is answered.
    const planned = planNetwork(
      [{ name: settings.device, address: settings.address, prefixLength: 16 }],
      { mode: 'range', from: '10.98.16.0', to: '10.98.127.255' },
      hosts,
      readLeases(settings.leases),
    );
    if (!('plan' in planned)) throw new Error(planned.problems.join('\n'));
    addresses = planned.plan.addresses;
    writeLeases(settings.leases, addresses);
    range = planned.plan.interfaces[0]!;
  }
  const assignedMs = performance.now() - beganMs;
  const scene: Scene = {
    interfaces: {
      [settings.device]: {
        name: settings.device,
        address: settings.address,
        prefixLength: 16,
        dhcp: 'proxy',
        dns: [],
        leaseSeconds: 43_200,
        ...range,
      },
    },
    machineOfMac: Object.fromEntries(settings.macs.map((mac, i) => [mac, `m${i}`])),
    machines: Object.fromEntries(
      settings.macs.map((mac, i) => {
        const own = addresses[mac];
        const name = `m${i}`;
        return [
          name,
          { name, offer: 'installer', system: 'x86_64-linux', addresses: own === undefined ? {} : { [mac]: own } },
        ];
      }),
    ),
    loaders: { x64: 'snponly.efi' },
    httpPort: ports.http,
  };
  let seen = 0;
  const server = await startBootServer({
    scene,
    loaderFiles: new Map(Object.entries(settings.files).map(([name, file]) => [name, readFileSync(file)])),
    interfaces: chooseInterfaces(listInterfaces(), { interfaces: [settings.device], address: settings.address }),
    onSeen: () => {
      seen += 1;
    },
    onFailure(error) {
      throw error;
    },
  });
  if (settings.agents !== undefined) await agents(settings.agents);
  return async () => ({ ...(await server.counters()), seen, assignedMs });
}

async function http({ address, file, sha256, size, way }: HttpSettings): Promise<Answers> {
  const server = await startHttp({
    addresses: [address],
    port: ports.http,
    script: () => ({ refuse: 'none' }),
    loaders: new Map(),
    files: new Map([[`${sha256}/file`, { path: file, size, sha256 }]]),
    ...(way === 'stream' && { catProgram: null }),
    onSeen: () => {},
    onProgress: () => {},
  });
  return async () => ({ ...server.counters(), rss: process.memoryUsage.rss() });
}

async function agents({ address, tls: { certPem, keyPem }, mostSessions }: AgentSettings): Promise<Answers> {
  const secret = credentialSecret(keyPem);
  const intake = new LogIntake();
  const count = { up: 0, down: 0, heartbeats: 0, lines: 0, dropped: 0, odd: 0 };
  const server = await startAgentServer({
    addresses: [address],
    port: ports.agents,
    tls: { certPem, keyPem },
    mostSessions,
    core: {
      onRegister: () => ({ refused: 'denied', why: 'nobody registers here' }),
      readCredential: (text) => readCredential(secret, text),
      onSessionUp() {
        count.up += 1;
        return undefined;
      },
      onSessionDown() {
        count.down += 1;
      },
      onHeartbeat() {
        count.heartbeats += 1;
      },
      onProgress() {},
      async onLog(host, batch) {
        const { lines, next } = intake.take(host, batch, Date.now());
        count.lines += lines.length;
        return next;
      },
      onOdd() {
        count.odd += 1;
      },
    },
  });
  return async () => ({ ...count, sessions: server.sessions().length, rss: process.memoryUsage.rss() });
}

/** The floor: a TLS handshake, and a byte each way. */
async function bareTls({ address, tls: { certPem, keyPem } }: AgentSettings): Promise<Answers> {
  let handshakes = 0;
  const server = tls.createServer({ cert: certPem, key: keyPem, ALPNProtocols: ['h2'] }, (socket) => {
    handshakes += 1;
    socket.on('error', () => {});
    socket.on('data', (bytes) => socket.write(bytes));
  });
  await new Promise<void>((resolve) => server.listen(ports.tls, address, 4096, resolve));
  return async () => ({ handshakes, rss: process.memoryUsage.rss() });
}

type Answers = () => Promise<object>;
const roles = { boot, http, agents, tls: bareTls } as Record<string, (settings: never) => Promise<Answers>>;

if (import.meta.main) {
  const [role, settings] = process.argv.slice(2) as [string, string];
  const text = settings.startsWith('@') ? readFileSync(settings.slice(1), 'utf8') : settings;
  const counters = await roles[role]!(JSON.parse(text) as never);
  console.log('ready');
  createInterface(process.stdin)
    .on('line', () => void counters().then((values) => console.log(JSON.stringify(values))))
    .on('close', () => process.exit(0));
}

/** A file of so many bytes that no compression and no zero page makes smaller. */
export function noise(bytes: number): Buffer {
  const block = Buffer.concat(
    Array.from({ length: 512 }, (_, i) => createHash('sha512').update(`nixie ${i}`).digest()),
  );
  const all = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; at += block.length - 1) block.copy(all, at);
  return all;
}
