// It is long because each kind of firmware, mode and refusal has its own packet and its own answer in it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import fc from 'fast-check';
import type { System } from '../machine/host.ts';
import type { Mac } from '../machine/mac.ts';
import { addressesBytes, code, type MessageType, messageTypeBytes, readMessageType } from '../wire/dhcp4/options.ts';
import {
  DhcpFormatError,
  type DhcpOption,
  type DhcpPacket,
  decodeDhcp,
  encodeDhcp,
  headerText,
  latin1Bytes,
  option,
} from '../wire/dhcp4/packet.ts';
import { hexText } from '../wire/dhcp4/shapes.ts';
import { bootFileProblems } from './bootfile.ts';
import { answerDhcp, type DhcpDecision, type DhcpRequest } from './dhcp.ts';
import { classify } from './firmware.ts';
import type { BootOffer, DhcpMode, Loaders, Scene } from './scene.ts';

const mac = '52:54:00:77:00:01' as Mac;
const leased = '10.77.0.150';

interface Setting {
  mode?: DhcpMode;
  offer?: BootOffer;
  system?: System;
  loaders?: Loaders;
  address?: string;
}

function scene({
  mode = 'range',
  offer = 'installer',
  system = 'x86_64-linux',
  loaders,
  address,
}: Setting = {}): Scene {
  return {
    interfaces: {
      br0: {
        name: 'br0',
        address: '10.77.0.1',
        prefixLength: 24,
        dhcp: mode,
        router: '10.77.0.254',
        dns: ['10.77.0.53'],
        leaseSeconds: 3600,
        networks: [{ address: '10.78.0.0', prefixLength: 24, router: '10.78.0.254' }],
      },
    },
    machineOfMac: { [mac]: 'machine1' },
    machines: { machine1: { name: 'machine1', offer, system, addresses: { [mac]: address ?? leased } } },
    loaders: loaders ?? { bios: 'undionly.kpxe', x64: 'snponly.efi', arm64: 'snponly-arm64.efi' },
    httpPort: 7480,
  };
}

const text = (number: number, value: string): DhcpOption => [number, latin1Bytes(value)];
const address = (number: number, value: string): DhcpOption => [number, addressesBytes([value])];
const arch = (...types: number[]): DhcpOption => [
  code.architecture,
  Uint8Array.from(types.flatMap((type) => [0, type])),
];
const uuid: DhcpOption = [code.uuid, Uint8Array.from({ length: 17 }, (_, index) => index)];

const clients = {
  uefi: [text(60, 'PXEClient:Arch:00007:UNDI:003000'), arch(7), uuid],
  bios: [text(60, 'PXEClient:Arch:00000:UNDI:002001'), arch(0), uuid],
  arm: [text(60, 'PXEClient:Arch:00011:UNDI:003000'), arch(11), uuid],
  http: [text(60, 'HTTPClient:Arch:00016:UNDI:003000'), arch(16), uuid],
  ipxe: [
    text(60, 'PXEClient:Arch:00007:UNDI:003010'),
    arch(7),
    text(77, 'iPXE'),
    [175, Uint8Array.of(19, 1, 1, 36, 1, 1)],
  ],
  biosIpxe: [
    text(60, 'PXEClient:Arch:00000:UNDI:002001'),
    arch(0),
    text(77, 'iPXE'),
    [175, Uint8Array.of(19, 1, 1, 24, 1, 1)],
  ],
  smallIpxe: [text(60, 'PXEClient:Arch:00000:UNDI:002001'), arch(0), text(77, 'iPXE'), [175, Uint8Array.of(21, 1, 1)]],
  agent: [text(60, 'nixie-agent'), [61, Uint8Array.of(1, 82, 84, 0, 119, 0, 1)]],
  system: [text(60, 'dhcpcd-10.0.6:Linux')],
  plain: [],
} satisfies Record<string, DhcpOption[]>;
type ClientName = keyof typeof clients;

function asks(
  type: MessageType,
  client: ClientName | DhcpOption[],
  over: Partial<DhcpPacket> = {},
  more: DhcpOption[] = [],
): DhcpPacket {
  return {
    op: 1,
    htype: 1,
    hlen: 6,
    hops: 0,
    xid: 0x1234,
    secs: 0,
    flags: 0,
    ciaddr: '0.0.0.0',
    yiaddr: '0.0.0.0',
    siaddr: '0.0.0.0',
    giaddr: '0.0.0.0',
    chaddr: Uint8Array.from([0x52, 0x54, 0, 0x77, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    sname: new Uint8Array(64),
    file: new Uint8Array(128),
    options: [[53, messageTypeBytes(type)], ...more, ...(Array.isArray(client) ? client : clients[client])],
    ...over,
  };
}

function answer(packet: DhcpPacket, setting: Setting = {}, over: Partial<DhcpRequest> = {}): DhcpDecision {
  const request: DhcpRequest = {
    packet,
    interface: 'br0',
    port: 67,
    source: { address: '0.0.0.0', port: 68 },
    ...over,
  };
  return answerDhcp(request, scene(setting));
}

function reply(decision: DhcpDecision): Extract<DhcpDecision, { kind: 'reply' }> {
  assert(decision.kind === 'reply', `silence: ${decision.why}`);
  return decision;
}

const hexOf = (packet: DhcpPacket, number: number): string | undefined => {
  const value = option(packet, number);
  return value && hexText(value);
};
const typeOf = (packet: DhcpPacket) => readMessageType(option(packet, 53)!);
const script = 'http://10.77.0.1:7480/boot/52-54-00-77-00-01.ipxe';

test('what each client is offered, in each mode', () => {
  const table: [ClientName, Setting, string, string?][] = [
    // client, setting, boot file or silence, option 60 of the reply
    ['uefi', { mode: 'proxy' }, 'snponly.efi', 'PXEClient'],
    ['bios', { mode: 'proxy' }, 'undionly.kpxe', 'PXEClient'],
    ['arm', { mode: 'proxy', system: 'aarch64-linux' }, 'snponly-arm64.efi', 'PXEClient'],
    ['http', { mode: 'proxy' }, 'http://10.77.0.1:7480/loader/snponly.efi', 'HTTPClient'],
    ['ipxe', { mode: 'proxy' }, script, 'PXEClient'],
    ['biosIpxe', { mode: 'proxy' }, script, 'PXEClient'],
    ['smallIpxe', { mode: 'proxy' }, 'undionly.kpxe', 'PXEClient'],
    ['agent', { mode: 'proxy' }, 'silence: only an address wanted'],
    ['system', { mode: 'proxy' }, 'silence: only an address wanted'],
    ['plain', { mode: 'proxy' }, 'silence: only an address wanted'],
    ['uefi', {}, 'snponly.efi'],
    ['bios', {}, 'undionly.kpxe', 'PXEClient'],
    ['http', {}, 'http://10.77.0.1:7480/loader/snponly.efi', 'HTTPClient'],
    ['ipxe', {}, script],
    ['biosIpxe', {}, script],
    ['agent', {}, ''],
    ['system', {}, ''],
    ['plain', {}, ''],
    ['uefi', { mode: 'off' }, 'silence: dhcp is off'],
    ['uefi', { offer: 'local' }, 'silence: boots its disk'],
    ['uefi', { offer: 'local', mode: 'proxy' }, 'silence: boots its disk'],
    ['http', { offer: 'local' }, 'silence: boots its disk'],
    ['smallIpxe', { offer: 'local' }, 'silence: boots its disk'],
    ['ipxe', { offer: 'local' }, script],
    ['ipxe', { offer: 'local', mode: 'proxy' }, script, 'PXEClient'],
    ['agent', { offer: 'local' }, ''],
    ['uefi', { offer: 'silent' }, 'silence: not yet'],
    ['ipxe', { offer: 'silent', mode: 'proxy' }, 'silence: not yet'],
    ['system', { offer: 'silent' }, ''],
    ['uefi', { loaders: { bios: 'undionly.kpxe' } }, 'silence: no loader'],
    ['arm', {}, 'silence: wrong architecture'],
    ['bios', { system: 'aarch64-linux' }, 'silence: wrong architecture'],
  ];
  for (const [client, setting, want, vendorClass] of table) {
    const name = `${client} ${JSON.stringify(setting)}`;
    const decision = answer(asks('DISCOVER', client), setting);
    if (decision.kind === 'silence') {
      assert.equal(`silence: ${decision.why}`, want, name);
      continue;
    }
    assert.equal(headerText(decision.packet, 'file'), want, name);
    assert.equal(decision.file ?? '', want, name);
    assert.equal(hexOf(decision.packet, 60), vendorClass && hexText(latin1Bytes(vendorClass)), name);
    assert.equal(typeOf(decision.packet), 'OFFER', name);
    assert.equal(decision.packet.yiaddr, setting.mode === 'proxy' ? '0.0.0.0' : leased, name);
    // Option 43 only where ROMs need it, 175 only where no proxy must be heard.
    const bios = want === 'undionly.kpxe' || (client === 'biosIpxe' && setting.mode === 'proxy');
    assert.equal(hexOf(decision.packet, 43), bios ? '060108ff' : undefined, name);
    const hurry = setting.mode !== 'proxy' && (client === 'ipxe' || client === 'biosIpxe');
    assert.equal(hexOf(decision.packet, 175), hurry ? 'b00101' : undefined, name);
  }
});

test('architectures: a list, from option 60, none, unknown ones', () => {
  const pxe = (more: DhcpOption[], vendorClass = 'PXEClient'): DhcpPacket =>
    asks('DISCOVER', [text(60, vendorClass), ...more]);
  const table: [string, DhcpPacket, Setting, string][] = [
    ['first known of a list', pxe([arch(6, 9)]), {}, 'snponly.efi'],
    ['only option 60', pxe([], 'PXEClient:Arch:00007:UNDI:003016'), {}, 'snponly.efi'],
    ['odd length falls back to option 60', pxe([[93, Uint8Array.of(7)]], 'PXEClient:Arch:00000'), {}, 'undionly.kpxe'],
    ['none on x86', pxe([]), {}, 'unknown architecture'],
    ['none on arm64', pxe([]), { system: 'aarch64-linux' }, 'snponly-arm64.efi'],
    ['IA32', pxe([arch(6)]), {}, 'no loader'],
    ['HTTP x86', asks('DISCOVER', [text(60, 'HTTPClient'), arch(15)]), {}, 'no loader'],
    ['HTTP arm32', asks('DISCOVER', [text(60, 'HTTPClient'), arch(18)]), {}, 'no loader'],
    [
      'HTTP arm64',
      asks('DISCOVER', [text(60, 'HTTPClient'), arch(19)]),
      { system: 'aarch64-linux' },
      'http://10.77.0.1:7480/loader/snponly-arm64.efi',
    ],
    ['RISC-V', pxe([arch(27)]), {}, 'no loader'],
  ];
  for (const [name, packet, setting, want] of table) {
    const decision = answer(packet, setting);
    assert.equal(decision.kind === 'reply' ? decision.file : decision.why, want, name);
  }
});

test('iPXE is known by either form of the user class, by option 175, and by our own class', () => {
  const kind = (...options: DhcpOption[]) =>
    classify(asks('DISCOVER', [text(60, 'PXEClient:Arch:00007'), ...options])).kind;
  assert.equal(kind(text(77, 'iPXE')), 'ipxe');
  assert.equal(kind(text(77, '\x04iPXE')), 'ipxe');
  assert.equal(kind([175, Uint8Array.of(19, 1, 1, 24, 1, 1)]), 'ipxe');
  assert.equal(kind([175, Uint8Array.of(19, 1, 1)]), 'small-ipxe');
  assert.equal(kind(text(77, 'nixie'), [175, Uint8Array.of(21, 1, 1)]), 'ipxe');
  assert.equal(kind(text(77, '\x09bad')), 'pxe');
  assert.equal(classify(asks('DISCOVER', [text(60, 'HTTPClient:Arch:00016'), text(77, 'iPXE')])).kind, 'http');
});

test('a REQUEST in each state of RFC 2131 4.3.2', () => {
  const ours = address(54, '10.77.0.1');
  const table: [string, DhcpPacket, string, string?][] = [
    ['SELECTING us', asks('REQUEST', 'agent', {}, [ours, address(50, leased)]), 'ACK', '255.255.255.255:68'],
    [
      'SELECTING us, another address',
      asks('REQUEST', 'agent', {}, [ours, address(50, '10.77.0.9')]),
      'NAK',
      '255.255.255.255:68',
    ],
    [
      'SELECTING another',
      asks('REQUEST', 'agent', {}, [address(54, '10.77.0.2'), address(50, leased)]),
      'another server was chosen',
    ],
    ['INIT-REBOOT', asks('REQUEST', 'agent', {}, [address(50, leased)]), 'ACK', '255.255.255.255:68'],
    [
      'INIT-REBOOT from elsewhere',
      asks('REQUEST', 'agent', {}, [address(50, '192.168.1.9')]),
      'NAK',
      '255.255.255.255:68',
    ],
    ['RENEWING', asks('REQUEST', 'agent', { ciaddr: leased }), 'ACK', `${leased}:68`],
    ['REBINDING, flags ignored', asks('REQUEST', 'agent', { ciaddr: leased, flags: 0x8000 }), 'ACK', `${leased}:68`],
    ['RENEWING a wrong address', asks('REQUEST', 'agent', { ciaddr: '10.77.0.9' }), 'NAK', '255.255.255.255:68'],
    ['nothing asked', asks('REQUEST', 'agent'), 'asks for nothing'],
    [
      'server id of wrong length',
      asks('REQUEST', 'agent', {}, [[54, Uint8Array.of(1)], address(50, leased)]),
      'ACK',
      '255.255.255.255:68',
    ],
    ['INFORM', asks('INFORM', 'agent', { ciaddr: leased }), 'ACK', `${leased}:68`],
    ['INFORM for a stranger’s address', asks('INFORM', 'agent', { ciaddr: '8.8.8.8' }), 'another network'],
    ['DECLINE', asks('DECLINE', 'agent', {}, [ours, address(50, leased)]), 'declined'],
    ['RELEASE', asks('RELEASE', 'agent', { ciaddr: leased }, [ours]), 'released'],
    ['an OFFER of another server', asks('OFFER', 'agent', { op: 2 }), 'not a request'],
    ['an OFFER that says it is a request', asks('OFFER', 'agent'), 'not a request'],
  ];
  for (const [name, packet, want, to] of table) {
    const decision = answer(packet);
    if (decision.kind === 'silence') {
      assert.equal(decision.why, want, name);
      continue;
    }
    assert.equal(typeOf(decision.packet), want, name);
    assert.equal(`${decision.to.address}:${decision.to.port}`, to, name);
    assert.equal(decision.packet.yiaddr, want === 'ACK' && !name.startsWith('INFORM') ? leased : '0.0.0.0', name);
    if (want === 'NAK' || name.startsWith('INFORM')) {
      for (const lease of [51, 58, 59]) assert.equal(option(decision.packet, lease), undefined, name);
    }
    if (want === 'NAK')
      assert.deepEqual(
        decision.packet.options.map(([number]) => number),
        [53, 54, 61],
        name,
      );
  }
});

test('lease options', () => {
  const { packet } = reply(answer(asks('DISCOVER', 'agent')));
  assert.equal(hexOf(packet, 51), '00000e10');
  assert.equal(hexOf(packet, 58), '00000708');
  assert.equal(hexOf(packet, 59), '00000c4e');
  assert.equal(hexOf(packet, 1), 'ffffff00');
  assert.equal(hexOf(packet, 28), '0a4d00ff');
  assert.equal(hexOf(packet, 3), '0a4d00fe');
  assert.equal(hexOf(packet, 6), '0a4d0035');
  assert.equal(hexOf(packet, 61), '01525400770001', 'echoed, RFC 6842');
  assert.equal(packet.options[0]![0], 53);
});

test('a proxy keeps still about addresses', () => {
  const proxy: Setting = { mode: 'proxy' };
  const table: [string, DhcpPacket, string][] = [
    [
      'REQUEST to the site’s server',
      asks('REQUEST', 'uefi', {}, [address(54, '10.77.0.2'), address(50, '10.77.0.9')]),
      'another server was chosen',
    ],
    ['INIT-REBOOT', asks('REQUEST', 'ipxe', {}, [address(50, '10.77.0.9')]), 'not for a proxy'],
    ['RENEWING', asks('REQUEST', 'system', { ciaddr: '10.77.0.9' }), 'not for a proxy'],
    ['INFORM', asks('INFORM', 'uefi', { ciaddr: '10.77.0.9' }), 'not for a proxy'],
    ['RELEASE', asks('RELEASE', 'ipxe', { ciaddr: '10.77.0.9' }), 'not for a proxy'],
    ['DECLINE', asks('DECLINE', 'ipxe'), 'not for a proxy'],
  ];
  for (const [name, packet, want] of table) {
    const decision = answer(packet, proxy);
    assert.equal(decision.kind === 'silence' && decision.why, want, name);
  }
  const named = reply(answer(asks('REQUEST', 'uefi', {}, [address(54, '10.77.0.1')]), proxy));
  assert.equal(typeOf(named.packet), 'ACK');
  assert.equal(named.packet.yiaddr, '0.0.0.0');
  const offer = reply(answer(asks('DISCOVER', 'ipxe'), proxy)).packet;
  assert.equal(offer.flags, 0x8000);
  assert.equal(offer.siaddr, '10.77.0.1');
  for (const lease of [1, 3, 6, 51]) assert.equal(option(offer, lease), undefined);
});

test('port 4011 answers to the port that asked: UEFI from 4011, iPXE from 68', () => {
  for (const mode of ['proxy', 'range'] as const) {
    for (const [client, port, file] of [
      ['uefi', 4011, 'snponly.efi'],
      ['ipxe', 68, script],
      ['bios', 4011, 'undionly.kpxe'],
    ] as const) {
      const packet = asks('REQUEST', client, { ciaddr: '10.77.0.133' });
      const decision = reply(answer(packet, { mode }, { port: 4011, source: { address: '10.77.0.133', port } }));
      assert.deepEqual(decision.to, { address: '10.77.0.133', port });
      assert.equal(typeOf(decision.packet), 'ACK');
      assert.equal(decision.packet.ciaddr, '10.77.0.133');
      assert.equal(decision.packet.yiaddr, '0.0.0.0');
      assert.equal(decision.packet.siaddr, '10.77.0.1');
      assert.equal(headerText(decision.packet, 'file'), file);
      assert.equal(hexOf(decision.packet, 60), hexText(latin1Bytes('PXEClient')));
      assert.equal(option(decision.packet, 51), undefined);
    }
  }
  const at4011 = { port: 4011, source: { address: '10.77.0.133', port: 4011 } };
  const silence = (decision: DhcpDecision) => decision.kind === 'silence' && decision.why;
  assert.equal(silence(answer(asks('DISCOVER', 'uefi'), {}, at4011)), 'wrong port');
  assert.equal(silence(answer(asks('REQUEST', 'agent'), {}, at4011)), 'only an address wanted');
  assert.equal(silence(answer(asks('REQUEST', 'uefi'), {}, { port: 4011 })), 'no address');
});

test('relayed: to giaddr:67, option 82 unchanged and last, the address of that network', () => {
  const relay: DhcpOption = [82, Uint8Array.of(1, 4, 108, 97, 110, 50)];
  const far = { giaddr: '10.78.0.254', hops: 1 };
  const source = { address: '10.77.0.254', port: 67 };
  const asked = asks('DISCOVER', [...clients.agent, relay], far);
  const decision = reply(answer(asked, { address: '10.78.0.107' }, { source }));
  assert.deepEqual(decision.to, { address: '10.78.0.254', port: 67 });
  assert.deepEqual(decision.packet.options.at(-1), relay);
  assert.equal(decision.packet.giaddr, '10.78.0.254');
  assert.equal(decision.packet.hops, 1);
  assert.equal(hexOf(decision.packet, 3), '0a4e00fe');
  assert.equal(hexOf(decision.packet, 28), '0a4e00ff');

  const silence = answer(asked, {}, { source });
  assert.equal(silence.kind === 'silence' && silence.why, 'another network', 'a local address is of no use there');

  const refused = reply(
    answer(
      asks('REQUEST', [...clients.agent, relay], far, [address(50, '10.78.0.9')]),
      { address: '10.78.0.107' },
      { source },
    ),
  );
  assert.equal(typeOf(refused.packet), 'NAK');
  assert.equal(refused.packet.flags, 0x8000, 'RFC 2131 4.3.2: the relay broadcasts it');
  assert.deepEqual(refused.to, { address: '10.78.0.254', port: 67 });

  const proxied = reply(answer(asks('DISCOVER', [...clients.uefi, relay], far), { mode: 'proxy' }, { source }));
  assert.deepEqual(proxied.to, { address: '10.78.0.254', port: 67 });
  assert.equal(proxied.packet.flags, 0x8000, 'the relay has no address to unicast to');
  assert.deepEqual(proxied.packet.options.at(-1), relay);
});

test('link selection and server override win over giaddr (RFC 3527, RFC 5107)', () => {
  const relay: DhcpOption = [82, Uint8Array.of(5, 4, 10, 78, 0, 0, 11, 4, 10, 78, 0, 254)];
  const asked = (type: MessageType, more: DhcpOption[] = []) =>
    asks(type, [...clients.agent, relay], { giaddr: '172.16.0.1' }, more);
  const setting = { address: '10.78.0.107' };
  const decision = reply(answer(asked('DISCOVER'), setting));
  assert.equal(hexOf(decision.packet, 54), '0a4e00fe');
  assert.deepEqual(decision.to, { address: '172.16.0.1', port: 67 });
  const chosen = reply(answer(asked('REQUEST', [address(54, '10.78.0.254'), address(50, '10.78.0.107')]), setting));
  assert.equal(typeOf(chosen.packet), 'ACK');
});

test('who is not answered at all', () => {
  const table: [string, DhcpDecision, string][] = [
    [
      'unknown MAC',
      answer(asks('DISCOVER', 'uefi', { chaddr: Uint8Array.from([2, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]) })),
      'unknown machine',
    ],
    ['InfiniBand', answer(asks('DISCOVER', 'uefi', { htype: 32, hlen: 0 })), 'not ethernet'],
    ['many hops', answer(asks('DISCOVER', 'uefi', { hops: 17 })), 'too many hops'],
    ['another interface', answer(asks('DISCOVER', 'uefi'), {}, { interface: 'constructor' }), 'unknown interface'],
    ['BOOTP', answer({ ...asks('DISCOVER', 'plain'), options: [] }), 'not a request'],
    [
      'a type of tomorrow',
      answer({ ...asks('DISCOVER', 'plain'), options: [[53, Uint8Array.of(99)]] }),
      'not a request',
    ],
  ];
  for (const [name, decision, want] of table) assert.equal(decision.kind === 'silence' && decision.why, want, name);
});

test('the broadcast flag is that of each packet; a repeated request gets the same bytes', () => {
  for (const flags of [0, 0x8000]) assert.equal(reply(answer(asks('DISCOVER', 'ipxe', { flags }))).packet.flags, flags);
  const bytes = () => encodeDhcp(reply(answer(asks('DISCOVER', 'ipxe'))).packet);
  assert.deepEqual(bytes(), bytes());
});

test('boot file names of 1 to 127 octets are the same in file and option 67; longer ones are refused', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 140 }), (length) => {
      const loaders = { x64: 'n'.repeat(length) };
      const decision = answer(asks('DISCOVER', 'uefi'), { loaders });
      if (length > 127) {
        assert.equal(decision.kind === 'silence' && decision.why, 'name too long');
        assert(bootFileProblems(scene({ loaders })).length > 0);
        return;
      }
      const packet = decodeDhcp(encodeDhcp(reply(decision).packet));
      assert.equal(headerText(packet, 'file'), loaders.x64);
      const value = option(packet, 67)!;
      assert.deepEqual(value, latin1Bytes(`${loaders.x64}\0`));
    }),
  );
  assert.deepEqual(bootFileProblems(scene()), []);
  assert.match(bootFileProblems(scene({ loaders: { bios: 'ä.kpxe' } })).join(), /ä\.kpxe/);
});

test('replies stay within what every client takes, also with much to echo', () => {
  const long = { x64: 'n'.repeat(127) };
  const echo: DhcpOption[] = [[61, new Uint8Array(60)], uuid];
  const { packet } = reply(answer(asks('DISCOVER', [...clients.uefi.slice(0, 2), ...echo]), { loaders: long }));
  assert(encodeDhcp(packet).length <= 548, String(encodeDhcp(packet).length));
  assert.equal(headerText(packet, 'file'), long.x64);
});

const golden = readFileSync(new URL('../wire/dhcp4/fixtures/dhcp.jsonl', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => Uint8Array.from(Buffer.from((JSON.parse(line) as { raw: string }).raw, 'hex')));

test('whatever comes: no exception, no option 52, never a reply to a MAC that is not listed', () => {
  fc.assert(
    fc.property(
      fc.nat(golden.length - 1),
      fc.array(fc.tuple(fc.nat(419), fc.nat(255)), { maxLength: 8 }),
      fc.constantFrom<DhcpMode>('proxy', 'range'),
      fc.constantFrom(67, 4011),
      fc.boolean(),
      (line, flips, mode, port, listed) => {
        const bytes = golden[line]!.slice();
        for (const [at, value] of flips) if (at < bytes.length) bytes[at] = value;
        if (listed) bytes.set([0x52, 0x54, 0, 0x77, 0, 1], 28);
        let packet: DhcpPacket;
        try {
          packet = decodeDhcp(bytes);
        } catch (error) {
          assert(error instanceof DhcpFormatError);
          return;
        }
        const decision = answer(packet, { mode }, { port, source: { address: '10.77.0.133', port: 68 } });
        if (decision.kind === 'silence') return;
        assert.equal(Buffer.from(bytes.subarray(28, 34)).toString('hex'), '525400770001');
        assert.equal(option(decision.packet, 52), undefined);
        assert.equal(decision.packet.xid, packet.xid);
        const again = decodeDhcp(encodeDhcp(decision.packet));
        assert.equal(headerText(again, 'file'), decision.file ?? '');
        assert([leased, '0.0.0.0'].includes(again.yiaddr));
      },
    ),
    { numRuns: 1000 },
  );
});
