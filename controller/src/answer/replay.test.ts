// Each recorded request of real firmware is put to us in the place of the recorded server, and our reply is compared with the recorded one.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import type { Mac } from '../machine/mac.ts';
import { code, readText } from '../wire/dhcp4/options.ts';
import { type DhcpPacket, decodeDhcp, encodeDhcp, headerText, option } from '../wire/dhcp4/packet.ts';
import { answerDhcp } from './dhcp.ts';
import { classify } from './firmware.ts';
import type { DhcpMode, Scene } from './scene.ts';

interface Line {
  scenario: string;
  src: string;
  dst: string;
  sport: number;
  dport: number;
  msg: string;
  op: number;
  xid: string;
  chaddr: string;
  yiaddr: string;
  raw: string;
}

const lines = readFileSync(new URL('../wire/dhcp4/fixtures/dhcp.jsonl', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as Line);
const packetOf = (line: Line): DhcpPacket => decodeDhcp(Uint8Array.from(Buffer.from(line.raw, 'hex')));
const server = '10.77.0.1';

/** Settings as those of the recorded server, each MAC with the address that it got there. */
function sceneOf(scenario: string): Scene {
  const mode: DhcpMode = scenario.startsWith('b-proxy') ? 'proxy' : 'range';
  const arm = scenario === 'g-arm-pxe';
  const own = lines.filter((line) => line.scenario === scenario);
  const macs = [...new Set(own.map((line) => line.chaddr as Mac))];
  const leased = (mac: Mac) => own.find((line) => line.chaddr === mac && line.yiaddr !== '0.0.0.0')?.yiaddr;
  return {
    interfaces: {
      br0: {
        name: 'br0',
        address: server,
        prefixLength: 24,
        dhcp: mode,
        dns: [],
        leaseSeconds: 3600,
        networks: [
          {
            key: '10.78.0.0/24',
            address: '10.78.0.0',
            prefixLength: 24,
            dhcp: mode === 'proxy' ? 'proxy' : 'range',
            router: '10.78.0.254',
          },
        ],
      },
    },
    machineOfMac: Object.fromEntries(macs.map((mac) => [mac, `m-${mac}`])),
    machines: Object.fromEntries(
      macs.map((mac) => [
        `m-${mac}`,
        {
          name: `m-${mac}`,
          offer: 'installer' as const,
          system: arm ? ('aarch64-linux' as const) : ('x86_64-linux' as const),
          addresses: leased(mac) === undefined ? {} : { [mac]: leased(mac)! },
        },
      ]),
    ),
    loaders: {
      bios: 'undionly.kpxe',
      x64: scenario === 'a2-ovmf-native-ipxeefi' ? 'ipxe.efi' : 'snponly.efi',
      arm64: 'vmlinuz-arm64',
    },
    httpPort: 8080,
  };
}

/** The reply that the recorded server gave to a request: the same place among those of its transaction. */
function recordedReply(request: Line): Line | undefined {
  const same = (line: Line) =>
    line.scenario === request.scenario && line.xid === request.xid && line.chaddr === request.chaddr;
  const asked = lines.filter((line) => same(line) && line.msg === request.msg);
  const answered = lines.filter(
    (line) => same(line) && line.src === server && line.msg === (request.msg === 'DISCOVER' ? 'OFFER' : 'ACK'),
  );
  return answered[asked.indexOf(request)];
}

/** Boot files by what they are; the recorded server had another script. */
function bootKind(file: string): string {
  if (file.endsWith('.ipxe')) return 'script';
  return file.replace(/^http:\/\/10\.77\.0\.1:8080\/(loader\/)?/, 'http ');
}

const bootText = (packet: DhcpPacket): string =>
  readText(option(packet, code.bootFile) ?? new Uint8Array()) || headerText(packet, 'file');
const hex = (packet: DhcpPacket, number: number): string | undefined => {
  const value = option(packet, number);
  return value && Buffer.from(value).toString('hex');
};

const requests = lines.filter((line) => line.op === 1 && line.scenario !== 'e-relay-client-side');

test('our reply to each recorded request is the recorded one where it matters', () => {
  let compared = 0;
  let silent = 0;
  for (const request of requests) {
    const name = `${request.scenario} ${request.xid} ${request.msg} to ${request.dport}`;
    const packet = packetOf(request);
    const scene = sceneOf(request.scenario);
    const port = request.dport as 67 | 4011;
    const source = { address: request.src, port: request.sport };
    const decision = answerDhcp({ packet, interface: 'br0', port, source }, scene);
    const recorded = recordedReply(request);
    if (recorded === undefined) {
      silent += 1;
      assert.equal(decision.kind, 'silence', name);
      const agent = classify(packet).kind === 'agent' && request.msg === 'DISCOVER';
      assert.equal(decision.why, agent ? 'only an address wanted' : 'another server was chosen', name);
      continue;
    }
    compared += 1;
    assert(decision.kind === 'reply', `${name}: ${decision.why}`);
    const ours = decision.packet;
    const theirs = packetOf(recorded);
    assert.equal(port, recorded.sport, name);
    // They can write an ARP entry for an address that the client has not got yet; we broadcast.
    const early = recorded.dst === recorded.yiaddr && packet.ciaddr === '0.0.0.0';
    assert.deepEqual(decision.to, { address: early ? '255.255.255.255' : recorded.dst, port: recorded.dport }, name);
    for (const field of ['op', 'htype', 'hlen', 'hops', 'xid', 'flags', 'yiaddr', 'siaddr', 'giaddr'] as const) {
      assert.equal(ours[field], theirs[field], `${name}: ${field}`);
    }
    assert.deepEqual(ours.chaddr, theirs.chaddr, name);
    for (const number of [
      code.messageType,
      code.server,
      code.vendorClass,
      code.relay,
      code.subnetMask,
      code.broadcast,
    ]) {
      assert.equal(hex(ours, number), hex(theirs, number), `${name}: option ${number}`);
    }
    const client = classify(packet);
    // The recorded server loaded undionly.kpxe into an iPXE that can do without, and sent no file in proxy offers to UEFI.
    const wantFile =
      client.kind === 'ipxe'
        ? 'script'
        : bootText(theirs) === '' && decision.why === 'proxy offer'
          ? 'snponly.efi'
          : bootKind(bootText(theirs));
    assert.equal(bootKind(bootText(ours)), wantFile, `${name}: boot file`);
    assert.equal(headerText(ours, 'file'), bootText(ours), `${name}: file and option 67 are the same`);
    if (bootText(ours) !== '') {
      assert.equal(option(ours, code.bootFile)!.at(-1), 0, name);
      assert.equal(hex(ours, code.uuid), hex(packet, code.uuid), `${name}: 97`);
      assert.equal(headerText(ours, 'sname'), server, name);
      assert.equal(readText(option(ours, code.tftpServer)!), server, name);
    }
    if (hex(theirs, code.uuid) !== undefined) assert.equal(hex(ours, code.uuid), hex(theirs, code.uuid), name);
    if (option(ours, code.relay)) assert.equal(ours.options.at(-1)![0], code.relay, `${name}: 82 last`);
    const bytes = encodeDhcp(ours);
    assert(bytes.length >= 300 && bytes.length <= 548, `${name}: ${bytes.length} octets`);
    const filled = (field: Uint8Array, length: number) => Uint8Array.from({ length }, (_, at) => field[at] ?? 0);
    const whole = { ...ours, sname: filled(ours.sname, 64), file: filled(ours.file, 128) };
    assert.deepEqual(decodeDhcp(bytes), whole, name);
  }
  assert.equal(compared + silent, requests.length);
  assert.deepEqual([compared, silent], [80, 5]);
});

test('a whole boot, asked by firmware, iPXE and installer with and without option 61, is one lease', () => {
  const leases = new Map<string, Set<string>>();
  const idents = new Map<string, Set<string>>();
  for (const request of requests) {
    if (request.scenario.startsWith('b-proxy')) continue;
    const packet = packetOf(request);
    const decision = answerDhcp(
      { packet, interface: 'br0', port: 67, source: { address: request.src, port: request.sport } },
      sceneOf(request.scenario),
    );
    assert(decision.kind === 'reply');
    const key = `${request.scenario} ${request.chaddr}`;
    leases.set(key, (leases.get(key) ?? new Set()).add(decision.packet.yiaddr));
    idents.set(key, (idents.get(key) ?? new Set()).add(hex(packet, code.clientId) ?? 'none'));
  }
  assert(leases.size >= 10);
  for (const [key, addresses] of leases) assert.equal(addresses.size, 1, key);
  assert(
    [...idents.values()].filter((set) => set.size === 2).length >= 5,
    'the recordings have boots in which option 61 comes and goes',
  );
});

test('every recorded client is classified as what it was', () => {
  const counts: Record<string, number> = {};
  for (const line of lines.filter((each) => each.op === 1)) {
    const client = classify(packetOf(line));
    const key = `${client.kind} ${client.platform ?? '-'}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  assert.deepEqual(counts, {
    'agent -': 28,
    'http x64': 2,
    'ipxe bios': 14,
    'ipxe x64': 32,
    'pxe arm64': 2,
    'pxe x64': 19,
  });
});
