// For tests: the real DHCP, TFTP and HTTP doors, packets as firmware sends them, a clock that the test sets; and the trail that this leaves.
import dgram from 'node:dgram';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { type ClientRequest, get, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { answerDhcp } from './answer/dhcp.ts';
import { address, asks, type ClientName, mac, type Setting, scene } from './answer/testing.ts';
import { createDhcpDoor } from './listen/dhcp.ts';
import { type FileProgress, startHttp } from './listen/http.ts';
import { hearOtherServers } from './listen/other-servers.ts';
import type { Seen } from './listen/seen.ts';
import { serveTftp } from './listen/tftp.ts';
import type { Stage } from './machine/stage.ts';
import { Trails } from './trails.ts';
import type { MessageType } from './wire/dhcp4/options.ts';
import { type DhcpOption, encodeDhcp } from './wire/dhcp4/packet.ts';
import { decodeTftp, encodeTftp, type TftpOption, type TftpPacket } from './wire/tftp/packet.ts';
import { encodeUdp4 } from './wire/udp4/packet.ts';

export const host = 'machine1';
export const site = '10.77.0.2';
const siteMac = [0x52, 0x54, 0, 0x77, 0, 0x22];
export const leased = '10.77.0.120';

function bound(): Promise<dgram.Socket> {
  return new Promise((resolve) => {
    const socket = dgram.createSocket('udp4');
    socket.bind(0, '127.0.0.1', () => resolve(socket));
  });
}

export class Lab {
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
    // Time passes only once the client has nothing to say, and by the looks at it: a pause of this computer gives up nobody.
    let [silent, nowMs] = [false, 0];
    const listener = await bound();
    const { port } = listener.address();
    const door = serveTftp({
      ...{
        listener,
        interface: 'br0',
        mtu: 1500,
        openSocket: async () => ({ socket: await bound() }),
        maxTransfers: most,
      },
      files: new Map([['snponly.efi', Buffer.alloc(4000, 7)]]),
      nowMs: () => (silent ? ++nowMs : nowMs),
      timing: { firstTimeoutMs: 2, floorMs: 2, ceilingMs: 2, patienceMs: 30 },
      onSeen: (seen) => {
        this.seen({ ...seen, machine: host });
        if (seen.kind === until) reached.resolve();
      },
    });
    const socket = await bound();
    socket.on('message', (bytes, from) => {
      const packets = answer(decodeTftp(bytes));
      silent ||= packets.length === 0;
      for (const packet of packets) socket.send(encodeTftp(packet), from.port, '127.0.0.1');
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

/** How one cause of the doctor's list is made to happen. */
export interface Case {
  readonly setting?: Setting;
  make(lab: Lab): Lab | Promise<Lab>;
  /** It stands beside another cause. */
  readonly beside?: boolean;
}
export const proxy: Setting = { mode: 'proxy' };
