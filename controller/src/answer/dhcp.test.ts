import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import fc from 'fast-check';
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
import type { DhcpDecision } from './dhcp.ts';
import { classify } from './firmware.ts';
import type { DhcpMode } from './scene.ts';
import {
  address,
  answer,
  arch,
  asks,
  type ClientName,
  hexOf,
  leased,
  reply,
  type Setting,
  scene,
  script,
  text,
  typeOf,
} from './testing.ts';

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
    // Option 43 only where ROMs need it; in 175, not to wait for a proxy, or that we are the one to take.
    const bios = want === 'undionly.kpxe' || (client === 'biosIpxe' && setting.mode === 'proxy');
    assert.equal(hexOf(decision.packet, 43), bios ? '060108ff' : undefined, name);
    const ipxe = /ipxe/i.test(client);
    const words = setting.mode === 'proxy' ? '01017f' : 'b00101';
    assert.equal(hexOf(decision.packet, 175), ipxe ? words : undefined, name);
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
  assert.equal(kind([175, Uint8Array.of(19, 1, 1)]), 'small-ipxe', 'HTTP, but starts no kernel');
  assert.equal(kind([175, Uint8Array.of(36, 1, 1)]), 'small-ipxe', 'EFI, but no HTTP');
  assert.equal(kind(text(77, 'nixie'), [175, Uint8Array.of(21, 1, 1)]), 'ipxe');
  assert.equal(kind(text(77, '\x09bad')), 'pxe');
  assert.equal(classify(asks('DISCOVER', [text(60, 'HTTPClient:Arch:00016'), text(77, 'iPXE')])).kind, 'http');
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
