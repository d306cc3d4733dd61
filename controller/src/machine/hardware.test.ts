import assert from 'node:assert/strict';
import test from 'node:test';
import { Inventory } from '@nixie/proto/inventory';
import fc from 'fast-check';
import { hardwareDifferences } from './hardware.ts';

const gib = 1024n ** 3n;
const server = Inventory.fromPartial({
  schemaVersion: 1,
  boot: { bootId: 'a', uptimeMs: 1n },
  system: { vendor: 'Maker', product: 'R1', serial: 'SYS1', uuid: 'u-1', biosVersion: '1.0' },
  cpu: { model: 'CPU 1', sockets: 2, cores: 16, threads: 32, maxMhz: 3000, microcode: '0x1' },
  memory: {
    usableBytes: 62n * gib,
    physicalBytes: 64n * gib,
    modules: [
      { locator: 'A1', fitted: true, sizeBytes: 32n * gib, serial: 'M1' },
      { locator: 'A2', fitted: true, sizeBytes: 32n * gib, serial: 'M2', partNumber: 'P-2' },
      { locator: 'B1', fitted: false },
    ],
  },
  disks: [
    { name: 'sda', path: '/dev/sda', sizeBytes: 500n * 10n ** 9n, serial: 'S1', model: 'SSD' },
    { name: 'sdb', path: '/dev/sdb', sizeBytes: 4000n * 10n ** 9n, wwn: '0x5' },
    { name: 'sdc', path: '/dev/sdc', sizeBytes: 1000n, byPath: '/dev/disk/by-path/pci-3' },
  ],
  nics: [
    { name: 'eth0', mac: 'aa:00:00:00:00:01', permanentMac: 'aa:00:00:00:00:01', driver: 'igb' },
    { name: 'eth1', mac: 'aa:00:00:00:00:02', driver: 'igb' },
  ],
});

/** The same machine on another day. */
function anotherDay(): Inventory {
  const later = Inventory.fromPartial(server);
  later.boot = { ...later.boot!, bootId: 'b', uptimeMs: 99n, kernel: '6.12' };
  later.system!.biosVersion = '2.0';
  later.cpu!.microcode = '0x2';
  later.cpu!.maxMhz = 2900;
  later.memory!.usableBytes = 61n * gib;
  later.disks = later.disks.toReversed().map((disk, i) => ({
    ...disk,
    ...(disk.byPath === undefined ? { name: `sd${'xyz'[i]}`, path: `/dev/sd${'xyz'[i]}` } : {}),
    hasData: true,
    table: 'gpt',
    signatures: ['zfs'],
    mountedAt: ['/mnt'],
    firmware: 'F2',
    nixosHost: 'web1',
  }));
  later.disks.push({ ...later.disks[0]!, serial: 'STICK', removable: true });
  later.nics = later.nics.toReversed().map((nic) => ({
    ...nic,
    name: `en${nic.name}`,
    carrier: false,
    speedMbps: 100,
    mtu: 9000,
    addresses: ['10.0.0.9/24'],
    booted: true,
    reached: true,
  }));
  // A bond gives its members one address; their own stays.
  later.nics.find(({ permanentMac }) => permanentMac !== undefined)!.mac = 'aa:00:00:00:00:02';
  return later;
}

test('a machine is itself, on whatever day it is looked at', () => {
  assert.deepEqual(hardwareDifferences(server, server), []);
  assert.deepEqual(hardwareDifferences(server, anotherDay()), []);
  assert.deepEqual(hardwareDifferences(anotherDay(), server), []);
});

const rows: [name: string, change: (now: Inventory) => void, want: string[]][] = [
  ['a disk taken out', (now) => now.disks.splice(0, 1), ['disk /dev/sda (500 GB, SSD, S1) is gone']],
  [
    'a disk exchanged',
    (now) => (now.disks[0]!.serial = 'S9'),
    ['disk /dev/sda (500 GB, SSD, S1) is gone', 'disk /dev/sda (500 GB, SSD, S9) is new'],
  ],
  [
    'a disk that has another size now',
    (now) => (now.disks[1]!.sizeBytes = 2000n * 10n ** 9n),
    ['disk /dev/sdb (4 TB, 0x5) is gone', 'disk /dev/sdb (2 TB, 0x5) is new'],
  ],
  [
    'one more of two that look the same',
    (now) => now.disks.push({ ...now.disks[2]! }),
    ['disk /dev/sdc (1 kB, /dev/disk/by-path/pci-3) is new'],
  ],
  ['a card gone', (now) => now.nics.splice(1, 1), ['network card eth1 (aa:00:00:00:00:02, igb) is gone']],
  [
    'a module moved to another slot',
    (now) => (now.memory!.modules[1]!.locator = 'B1'),
    ['memory module A2 (32 GiB, P-2, M2) is gone', 'memory module B1 (32 GiB, P-2, M2) is new'],
  ],
  [
    'memory, where modules are not known',
    (now) => Object.assign(now.memory!, { modules: [], physicalBytes: 32n * gib }),
    ['memory: it had 64 GiB and has 32 GiB'],
  ],
  [
    'memory, where only what is usable is known',
    (now) => Object.assign(now.memory!, { modules: [], physicalBytes: undefined, usableBytes: 30n * gib }),
    ['memory: it had 62 GiB and has 30 GiB'],
  ],
  [
    'another processor',
    (now) => Object.assign(now.cpu!, { model: 'CPU 2', threads: 16 }),
    ['processor: its model was CPU 1 and is CPU 2', 'processor: its threads was 32 and is 16'],
  ],
  [
    'another machine',
    (now) => Object.assign(now.system!, { serial: 'SYS2' }),
    ['system: its serial number was SYS1 and is SYS2'],
  ],
  [
    'what is not known any more',
    (now) => Object.assign(now, { system: undefined, cpu: undefined, memory: undefined }),
    [],
  ],
];
for (const [name, change, want] of rows)
  test(`hardware: ${name}`, () => {
    const now = Inventory.fromPartial(server);
    change(now);
    assert.deepEqual(hardwareDifferences(server, now), want);
    assert.equal(hardwareDifferences(now, server).length, want.length);
  });

test('what only one of the two knows of a part is no difference', () => {
  const both = Inventory.fromPartial(server);
  both.disks[0] = { ...both.disks[0]!, wwn: '0x9' };
  const one = Inventory.fromPartial(both);
  one.disks[0] = { ...one.disks[0]!, serial: undefined };
  one.memory!.modules[0] = { ...one.memory!.modules[0]!, serial: undefined };
  assert.deepEqual(hardwareDifferences(both, one), []);
  assert.deepEqual(hardwareDifferences(one, both), []);
  // A disk that says nothing of itself any more may be any disk.
  one.disks[0] = { ...one.disks[0], wwn: undefined };
  assert.equal(hardwareDifferences(both, one).length, 2);
  // Two serial numbers under one worldwide name are two disks.
  one.disks[0] = { ...one.disks[0], wwn: '0x9', serial: 'S9' };
  assert.equal(hardwareDifferences(both, one).length, 2);
  // Which of two it is nobody knows.
  one.disks[0] = { ...one.disks[0], serial: undefined };
  one.disks.push({ ...one.disks[0] });
  assert.equal(hardwareDifferences(both, one).length, 3);
});

const disk = fc.record({
  path: fc.constantFrom('/dev/sda', '/dev/sdb'),
  name: fc.constant('sda'),
  sizeBytes: fc.constantFrom(1n, 2n),
  serial: fc.constantFrom('A', 'B', undefined),
  wwn: fc.constantFrom('W', undefined),
  byPath: fc.constantFrom('P', 'Q', undefined),
});

test('what is gone from one is new in the other; order changes nothing; every difference is told', () => {
  fc.assert(
    fc.property(fc.array(disk, { maxLength: 6 }), fc.array(disk, { maxLength: 6 }), (a, b) => {
      const [before, after] = [Inventory.fromPartial({ disks: a }), Inventory.fromPartial({ disks: b })];
      const there = hardwareDifferences(before, after);
      const back = hardwareDifferences(after, before);
      const turned = (text: string) =>
        text.endsWith(' is gone') ? text.replace(/ is gone$/, ' is new') : text.replace(/ is new$/, ' is gone');
      assert.deepEqual(there.map(turned).sort(), [...back].sort());
      const mixed = Inventory.fromPartial({ disks: [...b].reverse() });
      assert.equal(hardwareDifferences(before, mixed).length, there.length);
      assert.deepEqual(hardwareDifferences(before, Inventory.fromPartial({ disks: [...a].reverse() })), []);
      const gone = there.filter((text) => text.endsWith(' is gone')).length;
      assert.equal(a.length - gone, b.length - (there.length - gone));
    }),
  );
});
