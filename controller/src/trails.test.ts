// Makes each cause of the doctor's list happen: the real DHCP, TFTP and HTTP doors, packets as firmware sends them, a clock that the test sets.
// It is long because it is the list.
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { type ClientRequest, get, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { answerDhcp } from './answer/dhcp.ts';
import { address, asks, type ClientName, mac, type Setting, scene, text } from './answer/testing.ts';
import { type CauseId, causes } from './doctor/causes.ts';
import { diagnose } from './doctor/diagnose.ts';
import { createDhcpDoor } from './listen/dhcp.ts';
import { FloodWatch } from './listen/flood-watch.ts';
import { type FileProgress, startHttp } from './listen/http.ts';
import { hearOtherServers } from './listen/other-servers.ts';
import type { Seen } from './listen/seen.ts';
import { serveTftp } from './listen/tftp.ts';
import type { Stage } from './machine/stage.ts';
import { readTrailLog } from './store/trail-log.ts';
import { Trails } from './trails.ts';
import type { MessageType } from './wire/dhcp4/options.ts';
import { type DhcpOption, encodeDhcp } from './wire/dhcp4/packet.ts';
import { decodeTftp, encodeTftp, type TftpOption, type TftpPacket } from './wire/tftp/packet.ts';
import { encodeUdp4 } from './wire/udp4/packet.ts';

const host = 'machine1';
const site = '10.77.0.2';
const siteMac = [0x52, 0x54, 0, 0x77, 0, 0x22];
const leased = '10.77.0.120';

function bound(): Promise<dgram.Socket> {
  return new Promise((resolve) => {
    const socket = dgram.createSocket('udp4');
    socket.bind(0, '127.0.0.1', () => resolve(socket));
  });
}

class Lab {
  readonly #t: TestContext;
  readonly #setting: Setting;
  readonly journal: string[] = [];
  readonly trails: Trails;
  readonly door: ReturnType<typeof createDhcpDoor>;
  now = Date.UTC(2026, 0, 1);
  readonly #frames: Uint8Array[] = [];
  #http: Awaited<ReturnType<typeof startHttp>> | undefined;

  constructor(t: TestContext, setting: Setting) {
    this.#t = t;
    this.#setting = setting;
    this.trails = new Trails({
      hostOfMac: new Map([[mac, host]]),
      journal: { write: (entry) => void this.journal.push(JSON.stringify(entry)) },
      now: () => this.now,
    });
    this.door = createDhcpDoor({
      scene: () => scene(setting),
      answer: answerDhcp,
      nowMs: () => this.now,
      onSeen: this.seen,
    });
    t.mock.timers.enable({ apis: ['setInterval'] });
    const others = hearOtherServers({
      interfaces: [{ name: 'br0', address: '10.77.0.1' }],
      onSeen: this.seen,
      onListening: (name, whyNot) => this.trails.listening(name, whyNot),
      open: () => ({ receive: () => this.#frames.splice(0), broadcast: () => {}, close: () => {} }),
    });
    t.after(() => others.close());
  }

  seen = (seen: Seen): void => this.trails.seen(seen);

  after(seconds: number): this {
    this.now += seconds * 1000;
    return this;
  }

  /** As the core tells of it: an event, and a line of the journal. */
  stage(stage: Stage, reason?: string): this {
    const at = new Date(this.now).toISOString();
    const more = reason === undefined ? {} : { reason };
    this.journal.push(JSON.stringify({ at, host, happening: 'begin', stage, ...more }));
    this.trails.event({ event: 'stage', at, host, stage, ...more });
    return this.after(1);
  }

  asks(
    type: MessageType,
    client: ClientName | DhcpOption[],
    more: DhcpOption[] = [],
    over = {},
    port: 67 | 4011 = 67,
  ): this {
    const packet = encodeDhcp(asks(type, client, over, more));
    this.door.receive(packet, { interface: 'br0', port, source: { address: '0.0.0.0', port: 68 } });
    return this.after(1);
  }

  /** A REQUEST that takes what the site's server offered. */
  takesFromSite(client: ClientName): this {
    return this.asks('REQUEST', client, [address(54, site), address(50, leased)]);
  }

  asks4011(): this {
    return this.asks('REQUEST', 'uefi', [], { ciaddr: leased }, 4011);
  }

  /** A frame with the offer of the site's server. */
  siteOffers(options: DhcpOption[], yiaddr = leased): this {
    const packet = asks('OFFER', options, { op: 2, yiaddr }, [address(54, site)]);
    const udp = encodeUdp4({ address: site, port: 67 }, { address: '255.255.255.255', port: 68 }, encodeDhcp(packet));
    this.#frames.push(Uint8Array.from([...Array(6).fill(255), ...siteMac, 8, 0, ...udp]));
    this.#t.mock.timers.tick(250);
    return this.after(1);
  }

  /** A TFTP client that is told what to do with each packet; resolves when `until` was seen. */
  async tftp(
    name: string,
    options: TftpOption[],
    until: Seen['kind'],
    answer: (packet: TftpPacket) => TftpPacket[],
    most = 10,
  ) {
    const reached = Promise.withResolvers<void>();
    const listener = await bound();
    const { port } = listener.address();
    const door = serveTftp({
      ...{ listener, interface: 'br0', mtu: 1500, openSocket: bound, maxTransfers: most },
      files: new Map([['snponly.efi', Buffer.alloc(4000, 7)]]),
      nowMs: () => performance.now(),
      timing: { firstTimeoutMs: 2, floorMs: 2, ceilingMs: 2, patienceMs: 30 },
      onSeen: (seen) => {
        this.seen({ ...seen, machine: host });
        if (seen.kind === until) reached.resolve();
      },
    });
    const socket = await bound();
    socket.on('message', (bytes, from) => {
      for (const packet of answer(decodeTftp(bytes))) socket.send(encodeTftp(packet), from.port, '127.0.0.1');
    });
    socket.send(encodeTftp({ op: 'read', name, mode: 'octet', options }), port, '127.0.0.1');
    await reached.promise;
    await door.close();
    socket.close();
    return this.after(1);
  }

  async #server() {
    if (this.#http !== undefined) return this.#http;
    const folder = mkdtempSync(join(tmpdir(), 'nixie-trails-'));
    // More than fits the buffers of a connection: the large one can be cut off.
    const sizes = { kernel: 300_000, initrd: 300_000, large: 64_000_000 };
    const files = new Map(
      Object.entries(sizes).map(([name, size]) => {
        const path = join(folder, name);
        writeFileSync(path, '');
        truncateSync(path, size);
        return [`${'a'.repeat(64)}/${name}`, { path, size, sha256: 'a'.repeat(64) }];
      }),
    );
    const http = await startHttp({
      ...{ addresses: ['127.0.0.1'], port: 0, loaders: new Map(), files, catProgram: null },
      script: () =>
        this.#setting.offer === 'silent'
          ? { refuse: 'this script is for the machine that has this MAC' }
          : { script: '#!ipxe\n' },
      onSeen: this.seen,
      onProgress: (progress) => {
        this.trails.file(progress);
        this.#progress(progress);
      },
    });
    this.#t.after(async () => {
      await http.close();
      rmSync(folder, { recursive: true });
    });
    this.#http = http;
    return http;
  }

  #progress = (_progress: FileProgress): void => {};

  async #get(path: string, use: (response: IncomingMessage, request: ClientRequest) => void): Promise<this> {
    const { port } = await this.#server();
    await new Promise<void>((resolve) => {
      const request = get({ host: '127.0.0.1', port, path, agent: false }, (response) => {
        response.on('close', resolve);
        response.on('error', () => {});
        use(response, request);
      });
      request.on('error', () => resolve());
    });
    return this.after(1);
  }

  script(): Promise<this> {
    return this.#get(`/boot/${mac.replaceAll(':', '-')}.ipxe`, (response) => response.resume());
  }

  /** Both ends know that it is whole. */
  async file(name: string): Promise<this> {
    const told = Promise.withResolvers<void>();
    this.#progress = (progress) => {
      if (progress.ended) told.resolve();
    };
    await this.#get(`/f/${'a'.repeat(64)}/${name}`, (response) => {
      if (response.statusCode !== 200) told.resolve();
      response.resume();
    });
    await told.promise;
    return this;
  }

  /** Reads a little; then lets the time pass, and goes away. */
  async beginning(name: string, meanwhile: () => void): Promise<this> {
    const begun = Promise.withResolvers<void>();
    const cut = Promise.withResolvers<void>();
    this.#progress = () => begun.resolve();
    await this.#get(`/f/${'a'.repeat(64)}/${name}`, async (response, request) => {
      response.pause();
      await begun.promise;
      this.#progress = () => cut.resolve();
      meanwhile();
      request.destroy();
    });
    await cut.promise;
    return this;
  }
}

const read = (options: TftpOption[] = [['blksize', '1468']]): [string, TftpOption[]] => ['snponly.efi', options];
const error: TftpPacket = { op: 'error', code: 8, message: 'User aborted the transfer' };
const ack = (block: number): TftpPacket => ({ op: 'ack', block });
const nothing = (): TftpPacket[] => [];
const agents = (lab: Lab, why: string) =>
  lab.trails.agents({
    onRegister: () => ({ refused: 'denied', why }),
    onSessionUp: () => undefined,
    onSessionDown: () => {},
  } as never);
const registers = (lab: Lab, why: string) => {
  agents(lab, why).onRegister({ mac } as never, '10.77.0.120:40000');
  return lab;
};

/** iPXE with its script, and both files when `whole`. */
async function boots(lab: Lab, whole = true): Promise<Lab> {
  lab.stage('waking').asks('DISCOVER', 'ipxe').takesFromSite('ipxe').stage('loading');
  await lab.script();
  if (!whole) return lab;
  await lab.file('kernel');
  return await lab.file('initrd');
}

interface Case {
  readonly setting?: Setting;
  make(lab: Lab): Lab | Promise<Lab>;
  /** It stands beside another cause. */
  readonly beside?: boolean;
}
const proxy: Setting = { mode: 'proxy' };

const cases: Readonly<Record<CauseId, Case>> = {
  'unlisted-mac': {
    make: (lab) =>
      lab
        .stage('waking')
        .asks('DISCOVER', 'uefi', [], { chaddr: Uint8Array.from([2, 0, 0, 0, 0, 9]) })
        .after(60),
  },
  'nothing-heard': { make: (lab) => lab.stage('waking').after(60) },
  'not-built': { make: (lab) => lab.stage('planned').stage('failed', 'error: attribute missing') },
  'not-ready': { setting: { offer: 'silent' }, make: (lab) => lab.stage('planned').asks('DISCOVER', 'uefi') },
  'dhcp-off': { setting: { mode: 'off' }, make: (lab) => lab.stage('waking').asks('DISCOVER', 'uefi') },
  'no-loader': { setting: { ...proxy, loaders: {} }, make: (lab) => lab.stage('waking').asks('DISCOVER', 'uefi') },
  'wrong-architecture': {
    setting: { system: 'aarch64-linux' },
    make: (lab) => lab.stage('waking').asks('DISCOVER', 'uefi'),
  },
  'unknown-architecture': { make: (lab) => lab.stage('waking').asks('DISCOVER', [text(60, 'PXEClient')]) },
  'relay-mismatch': {
    make: (lab) => lab.stage('waking').asks('DISCOVER', 'uefi', [], { giaddr: '10.78.0.254', hops: 1 }),
  },
  'relay-undeclared': {
    make: (lab) => lab.stage('waking').asks('DISCOVER', 'uefi', [], { giaddr: '10.99.0.1', hops: 1 }),
  },
  'relay-unreachable': {
    make(lab) {
      lab.stage('waking').asks('DISCOVER', 'uefi', [], { giaddr: '10.78.0.254', hops: 1 });
      const to = { address: '10.78.0.254', giaddr: '10.78.0.254' };
      lab.seen({ kind: 'dhcp-unsent', mac, interface: 'br0', ...to, detail: 'send ENETUNREACH' });
      return lab;
    },
  },
  'reply-unsent': {
    make(lab) {
      lab.stage('waking').asks('DISCOVER', 'uefi');
      lab.seen({ kind: 'dhcp-unsent', mac, interface: 'br0', address: '10.78.0.254', detail: 'send ENETUNREACH' });
      return lab;
    },
  },
  'dhcp-malformed': {
    make(lab) {
      const whole = encodeDhcp(asks('DISCOVER', 'uefi'));
      whole.set([93, 200], 240);
      lab
        .stage('firmware')
        .door.receive(whole.subarray(0, 250), { interface: 'br0', port: 67, source: { address: '0.0.0.0', port: 68 } });
      return lab;
    },
  },
  'asks-too-often': {
    beside: true,
    make(lab) {
      lab.stage('waking');
      for (let count = 0; count < 100; count++) lab.asks('DISCOVER', 'uefi').after(-1);
      return lab;
    },
  },
  flood: {
    make(lab) {
      lab.stage('firmware');
      const flood = new FloodWatch();
      flood.look(lab.door.counters());
      for (let count = 0; count < 3000; count++)
        lab.asks('DISCOVER', 'plain', [], { chaddr: Uint8Array.from([2, 0, 0, 0, count >> 8, count & 255]) }).after(-1);
      const detail = flood.look(lab.door.counters());
      assert.ok(detail);
      lab.seen({ kind: 'dhcp-flood', detail });
      return lab;
    },
  },
  'address-declined': {
    beside: true,
    make: (lab) =>
      lab.stage('firmware').asks('DECLINE', 'plain', [address(50, '10.77.0.150'), address(54, '10.77.0.1')]),
  },
  'other-proxy': {
    setting: proxy,
    make: (lab) =>
      lab
        .stage('firmware')
        .asks('DISCOVER', 'uefi')
        .siteOffers([text(60, 'PXEClient'), text(67, 'pxelinux.0')])
        .takesFromSite('uefi')
        .after(10),
  },
  'other-dhcp-server': {
    make: (lab) => lab.stage('firmware').asks('DISCOVER', 'uefi').takesFromSite('uefi').after(10),
  },
  'no-address': {
    setting: proxy,
    make: (lab) => lab.stage('firmware').asks('DISCOVER', 'uefi').after(4).asks('DISCOVER', 'uefi'),
  },
  'offer-lost': { make: (lab) => lab.stage('firmware').asks('DISCOVER', 'uefi').after(4).asks('DISCOVER', 'uefi') },
  'offer-ignored': {
    setting: proxy,
    make: (lab) => lab.stage('firmware').asks('DISCOVER', 'uefi').siteOffers([]).takesFromSite('uefi').after(10),
  },
  'boot-server-answer-lost': {
    setting: proxy,
    make: (lab) => lab.stage('firmware').asks('DISCOVER', 'uefi').takesFromSite('uefi').asks4011().asks4011(),
  },
  'loader-not-asked': {
    setting: proxy,
    make: (lab) => lab.stage('firmware').asks('DISCOVER', 'uefi').takesFromSite('uefi').asks4011().after(10),
  },
  'http-boot-not-asked': {
    make: (lab) =>
      lab
        .stage('firmware')
        .asks('DISCOVER', 'http')
        .asks('REQUEST', 'http', [address(54, '10.77.0.1'), address(50, '10.77.0.150')])
        .after(10),
  },
  'tftp-unanswered': { make: (lab) => lab.stage('firmware').tftp(...read(), 'tftp-stopped', nothing) },
  'tftp-mtu': {
    make: (lab) =>
      lab.stage('firmware').tftp(...read(), 'tftp-stopped', (packet) => (packet.op === 'oack' ? [ack(0)] : [])),
  },
  'tftp-loss': {
    make: (lab) =>
      lab
        .stage('firmware')
        .tftp(...read([]), 'tftp-stopped', (packet) => (packet.op === 'data' && packet.block === 1 ? [ack(1)] : [])),
  },
  'tftp-size-only': {
    make: async (lab) =>
      (await lab.stage('firmware').tftp(...read([['tsize', '0']]), 'tftp-probed', () => [error])).after(10),
  },
  'tftp-aborted': {
    make: (lab) =>
      lab
        .stage('firmware')
        .tftp(...read([]), 'tftp-stopped', (packet) =>
          packet.op === 'data' ? [packet.block < 3 ? ack(packet.block) : error] : [],
        ),
  },
  'tftp-other-file': { make: (lab) => lab.stage('firmware').tftp('pxelinux.0', [], 'tftp-refused', nothing) },
  'tftp-busy': { make: (lab) => lab.stage('firmware').tftp(...read([]), 'tftp-refused', nothing, 0) },
  'loader-silent': {
    make: async (lab) => {
      const whole = (packet: TftpPacket) => (packet.op === 'data' ? [ack(packet.block)] : [ack(0)]);
      return (await lab.stage('firmware').tftp(...read(), 'tftp-sent', whole)).after(60);
    },
  },
  'ipxe-no-address': {
    setting: proxy,
    make: (lab) => lab.stage('firmware').asks('DISCOVER', 'ipxe').asks('DISCOVER', 'ipxe').after(20),
  },
  'script-not-fetched': {
    setting: proxy,
    make: (lab) => lab.stage('firmware').asks('DISCOVER', 'ipxe').takesFromSite('ipxe').after(20),
  },
  'script-refused': {
    setting: { ...proxy, offer: 'silent' },
    make: (lab) => lab.stage('firmware').script(),
  },
  'kernel-not-fetched': { setting: proxy, make: async (lab) => (await boots(lab, false)).after(20) },
  'file-unknown': { setting: proxy, make: async (lab) => (await boots(lab, false)).file('old-kernel') as Promise<Lab> },
  'download-cut': { setting: proxy, make: async (lab) => (await boots(lab, false)).beginning('large', () => {}) },
  'download-stalled': {
    setting: proxy,
    async make(lab) {
      const then = { id: '' };
      await (await boots(lab, false)).beginning('large', () => {
        then.id = diagnose(lab.trails.of(host), lab.now + 31_000).findings[0]?.id ?? '';
      });
      assert.equal(then.id, 'download-stalled');
      // Of the journal, too: without the end that the test made of it.
      lab.journal.splice(lab.journal.findIndex((line) => line.includes('file-cut')));
      const trail = lab.trails.of(host);
      const entries = trail.entries.filter(({ kind }) => kind !== 'file-cut');
      lab.trails.of = () => ({ ...trail, entries });
      return lab.after(31);
    },
  },
  'boot-loop': {
    setting: proxy,
    async make(lab) {
      for (let count = 0; count < 3; count++) (await boots(lab)).after(20);
      return lab;
    },
  },
  'agent-silent': { setting: proxy, make: async (lab) => (await boots(lab)).after(180) },
  'agent-cannot-reach': {
    setting: proxy,
    make: async (lab) => (await boots(lab)).asks('DISCOVER', 'system').takesFromSite('system').after(60),
  },
  'agent-refused': { setting: proxy, make: async (lab) => registers(await boots(lab), 'the token is expired') },
  'two-machines': {
    setting: proxy,
    make: async (lab) => registers(await boots(lab), `another machine claims ${mac} as well`),
  },
  'agent-lost': {
    make(lab) {
      lab.stage('registered');
      const core = agents(lab, '');
      core.onSessionUp(host, {} as never);
      lab.after(5);
      core.onSessionDown(host, 'no heartbeat for 20 s');
      return lab.after(30);
    },
  },
  'machine-refused': { make: (lab) => lab.stage('preflight').stage('refused', '/dev/vda holds data') },
  'partitioning-failed': { make: (lab) => lab.stage('disko').stage('failed', 'the disko script failed (status 1)') },
  'copy-failed': { make: (lab) => lab.stage('copy').stage('failed', 'copying to 10.77.0.120 failed') },
  'install-failed': { make: (lab) => lab.stage('install').stage('failed', 'nixos-install failed (status 1)') },
  'network-before-disk': {
    setting: { ...proxy, offer: 'local' },
    make: (lab) => lab.stage('rebooting').stage('proving').asks('DISCOVER', 'uefi').after(60),
  },
  'not-back': { make: (lab) => lab.stage('rebooting').stage('proving').after(180) },
  'back-unproved': {
    setting: proxy,
    make: (lab) => lab.stage('rebooting').stage('proving').takesFromSite('system').after(120),
  },
  'not-provable': { make: (lab) => lab.stage('probing').stage('doubtful', 'it shows another host key') },
  cancelled: { make: (lab) => lab.stage('waking').stage('failed', 'cancelled by the operator') },
  failed: { make: (lab) => lab.stage('preflight').stage('failed', 'its agent did not report the disks in time') },
};

for (const id of Object.keys(causes) as CauseId[])
  test(`${id}: ${causes[id].symptom}`, { timeout: 20_000 }, async (t) => {
    const { setting = {}, make, beside = false } = cases[id];
    const lab = new Lab(t, setting);
    await make(lab);
    const told = diagnose(lab.trails.of(host), lab.now);
    const ids = told.findings.map((finding) => finding.id);
    if (beside) assert.ok(ids.includes(id), ids.join(', '));
    else assert.equal(ids[0], id, JSON.stringify(told, undefined, 1));
    const finding = told.findings.find((each) => each.id === id)!;
    assert.ok(finding.evidence.length > 0 && finding.says !== '' && !finding.says.includes('undefined'), finding.says);
    // The journal of the run says the same to a later doctor.
    const later = readTrailLog([`${lab.journal.join('\n')}\n`]).trails.get(host);
    assert.ok(later);
    assert.ok(
      diagnose(later, lab.now).findings.some((each) => each.id === id),
      JSON.stringify(later, undefined, 1),
    );
  });

test('what is known beyond the reason of a machine that failed is told', (t) => {
  const reason = 'its firmware asked but never fetched its boot script';
  const lab = new Lab(t, { mode: 'proxy' }).stage('firmware').asks('DISCOVER', 'uefi').asks('DISCOVER', 'uefi');
  lab.stage('failed', reason);
  assert.match(
    lab.trails.advice(host)!,
    /^it asked 2 times and took no address.*; likely cause: no DHCP server.*; try: /,
  );
});

test('the reason itself is not said twice', (t) => {
  const own = new Lab(t, {}).stage('disko').stage('failed', 'the disko script failed (status 1)');
  assert.equal(own.trails.advice(host), undefined);
});
