import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import fc from 'fast-check';
import type { Host } from '../machine/host.ts';
import type { Mac } from '../machine/mac.ts';
import { explain, explainFile } from './explain.ts';
import { UnknownInput } from './input.ts';

const golden = readFileSync(new URL('../wire/dhcp4/fixtures/dhcp.jsonl', import.meta.url));
const fixture = (name: string): Uint8Array => readFileSync(new URL(`./fixtures/${name}.pcap`, import.meta.url));
const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
const firstRaw = (JSON.parse(golden.toString().split('\n')[0]!) as { raw: string }).raw;

const host = (name: string, mac: string): Host => ({
  name,
  flakeAttr: name,
  macs: [mac as Mac],
  system: 'x86_64-linux',
  tags: [],
  boot: [],
  expectDisks: [],
  wipe: false,
});

test('every packet of the recordings decodes, and what is printed reads back the same', () => {
  const { packets, damage } = explain(golden);
  assert.equal(packets.length, 197);
  assert.deepEqual(damage, []);
  assert(packets.every((packet) => packet.kind === 'dhcp' && packet.printsBack));
  const { text, json, failures } = explainFile(golden);
  assert.equal(failures, 0);
  assert.match(text, /197 DHCP packets \(197 printed and read back the same\), 0 TFTP packets; .*; all decoded\n$/);
  assert.equal(json.filter((each) => (each as { kind: string }).kind === 'dhcp').length, 197);
  JSON.parse(JSON.stringify(json));
});

test('without a hosts file every machine that boots from the network is answered, and that is said', () => {
  const { text } = explainFile(golden);
  assert.match(text, /^assumed: no hosts file: each machine here that boots from the network counts as listed/);
  assert.match(text, /Nixie \(52:54:00:77:00:24\): proxy offer, to 255\.255\.255\.255:68, boot file snponly\.efi/);
  assert.match(text, /Nixie \(52:54:00:77:00:24\): boot server answer, to 10\.77\.0\.133:4011, boot file snponly\.efi/);
  assert.match(text, /silence, another server was chosen/);
  assert.doesNotMatch(text, /unknown machine/);
});

test('with one, only its machines are; as the only server they get their addresses', () => {
  const { packets } = explain(golden, {
    hosts: [host('m11', '52:54:00:77:00:11')],
    dhcp: { mode: 'range', from: '10.77.0.100', to: '10.77.0.120' },
    address: '10.77.0.1',
  });
  const words = new Map<string, Set<string>>();
  const leases = new Set<string>();
  for (const each of packets) {
    if (each.kind !== 'dhcp' || each.decision === undefined) continue;
    const { decision } = each;
    const key = decision.machine ?? 'others';
    words.set(key, (words.get(key) ?? new Set()).add(decision.why));
    if (decision.kind === 'reply' && decision.why === 'address offered') leases.add(decision.packet.yiaddr);
  }
  assert.deepEqual([...words.get('others')!], ['unknown machine']);
  // The recorded server gave another address, so a REQUEST for that one is refused.
  assert.deepEqual([...words.get('m11')!].sort(), ['address offered', 'address refused']);
  assert.equal(leases.size, 1);
});

test('captures: tcpdump on Ethernet and cooked, QEMU without a network and on a tap device', () => {
  const table: [string, number, number][] = [
    ['ovmf-tcpdump', 4, 12],
    ['ovmf-virtio', 4, 12],
    ['ovmf-cooked', 4, 2],
    ['ovmf-hubport', 3, 0],
  ];
  for (const [name, dhcp, tftp] of table) {
    const { text, failures } = explainFile(fixture(name));
    assert.equal(failures, 0, name);
    const { packets } = explain(fixture(name));
    assert.equal(packets.filter((each) => each.kind === 'dhcp').length, dhcp, name);
    assert.equal(packets.filter((each) => each.kind === 'tftp').length, tftp, name);
    assert.match(text, /DHCP DISCOVER of 52:54:00:77:00:4[12], pxe x64/, name);
    assert.match(text, /97 uuid: 01020304-0506-0708-090a-0b0c0d0e0f10/, name);
  }
  const { text } = explainFile(fixture('ovmf-tcpdump'));
  assert.match(text, /RRQ "tiny\.efi" octet tsize=0 blksize=1468 windowsize=4\n {2}Nixie: ERROR 1, no such file here/);
  assert.match(text, /TFTP ERROR 8 "User aborted the transfer"/);
  assert.match(text, /TFTP 7 DATA and ACK packets, 4000 octets of data/);
});

test('hexadecimal: a payload, spaced or with colons; a dump of xxd, hexdump or tcpdump; several at once', () => {
  const spaced = firstRaw.replace(/(....)/g, '$1 ').trim();
  const rows = firstRaw.match(/.{1,32}/g)!;
  const offset = (index: number, width: number): string => (index * 16).toString(16).padStart(width, '0');
  const xxd = rows
    .map((row, index) => `${offset(index, 8)}: ${row.replace(/(....)/g, '$1 ').trim()}  ..ab c..`)
    .join('\n');
  const hexdump = rows
    .map(
      (row, index) =>
        `${offset(index, 8)}  ${row
          .replace(/(.{2})/g, '$1 ')
          .trim()
          .replace(/^(.{23}) /, '$1  ')}  |a b c|`,
    )
    .join('\n');
  const tcpdump = rows
    .map((row, index) => `\t0x${offset(index, 4)}:  ${row.replace(/(....)/g, '$1 ').trim()}`)
    .join('\n');
  for (const [name, given, want] of [
    ['bare', firstRaw, 1],
    ['0x', `0x${firstRaw}`, 1],
    ['spaced', spaced, 1],
    ['colons', firstRaw.replace(/(..)(?!$)/g, '$1:'), 1],
    ['two lines', `${firstRaw}\n${firstRaw.toUpperCase()}\n`, 2],
    ['xxd', xxd, 1],
    ['hexdump', hexdump, 1],
    ['tcpdump', `${tcpdump}\n${tcpdump}`, 2],
  ] as const) {
    const { packets, damage } = explain(ascii(given));
    assert.deepEqual(damage, [], name);
    assert.equal(packets.length, want, name);
    for (const packet of packets) {
      assert(packet.kind === 'dhcp', `${name}: ${JSON.stringify(packet)}`);
      assert.equal(packet.decision?.why, 'proxy offer', name);
    }
  }
  const [rrq] = explain(ascii('0001 78 00 6f63746574 00')).packets;
  assert(rrq?.kind === 'tftp' && rrq.packet.op === 'read');
});

test('a frame with VLAN tag in hexadecimal', () => {
  const frame = '01005e000001525400770001' + '8100000708004500001d000000004011000000000000ffffffff00450045000900000a';
  const [packet] = explain(ascii(frame)).packets;
  assert.deepEqual(packet?.vlans, [7]);
  assert.equal(packet?.kind, 'malformed');
});

test('what is damaged is counted and told, the rest is explained', () => {
  const lines = golden.toString().trimEnd().split('\n').slice(0, 3);
  const broken = { ...JSON.parse(lines[1]!), raw: `${firstRaw.slice(0, 480)}35` };
  const input = ascii([lines[0], JSON.stringify(broken), '{"t": 1', '[]', '{"raw": "0"}', lines[2]].join('\n'));
  const { text, failures } = explainFile(input);
  assert.equal(failures, 4);
  assert.match(text, /malformed DHCP message: option without length \(octet 240\)/);
  assert.match(text, /damaged: line 3: /);
  assert.match(text, /damaged: line 5: field "raw": hexadecimal octets wanted/);
  assert.match(text, /2 DHCP packets .* 4 failures\n$/);
});

test('other files are refused by name of what is read', () => {
  for (const given of ['', 'hello', '\0\0\0']) assert.throws(() => explain(ascii(given)), UnknownInput);
});

test('whatever the bytes: an explanation or UnknownInput, never another exception, and no control characters in the text', () => {
  const seeds = [
    fixture('ovmf-tcpdump'),
    fixture('ovmf-virtio'),
    fixture('ovmf-cooked'),
    ascii(firstRaw),
    golden.subarray(0, 9000),
  ];
  fc.assert(
    fc.property(
      fc.nat(seeds.length),
      fc.uint8Array({ maxLength: 300 }),
      fc.array(fc.tuple(fc.nat(2000), fc.nat(255)), { maxLength: 12 }),
      (seed, other, flips) => {
        const bytes = Uint8Array.from(seeds[seed] ?? other);
        for (const [at, value] of flips) if (at < bytes.length) bytes[at] = value;
        try {
          assert.doesNotMatch(explainFile(bytes).text.replaceAll('\n', ''), /[^ -~]/);
        } catch (error) {
          assert(error instanceof UnknownInput, String((error as Error).stack));
        }
      },
    ),
    { numRuns: 400 },
  );
});

test('declared subnets of the hosts file are gone by, and relays in none are said to be', () => {
  const relayed = golden
    .toString()
    .split('\n')
    .find((line) => line.includes('"e-relay-server-side"') && line.includes('"DISCOVER"'))!;
  const { chaddr } = JSON.parse(relayed) as { chaddr: string };
  const far = {
    ...{ cidr: '10.78.0.0/24', network: '10.78.0.0', prefixLength: 24, controllerAddress: '203.0.113.7' },
    range: { from: '10.78.0.100', to: '10.78.0.110' },
  };
  const hosts = [{ ...host('far', chaddr), address: '10.78.0.105' }];
  const declared = explainFile(ascii(relayed), { hosts, subnets: [far] }).text;
  assert.match(
    declared,
    /Nixie \(far, beyond 10\.78\.0\.254, subnet 10\.78\.0\.0\/24\): address offered, to 10\.78\.0\.254:67/,
  );
  assert.match(declared, /your 10\.78\.0\.105 next 203\.0\.113\.7/);
  assert.match(
    explainFile(ascii(relayed), { hosts }).text,
    /\(far, beyond 10\.78\.0\.254, in no declared subnet\): proxy/,
  );
  const none = explainFile(ascii(relayed), { hosts, dhcp: { mode: 'range', from: '10.77.0.100', to: '10.77.0.110' } });
  assert.match(none.text, /silence, undeclared subnet: its relay is 10\.78\.0\.254/);
});
