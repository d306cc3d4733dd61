import assert from 'node:assert/strict';
import test from 'node:test';
import { Inventory } from '@nixie/proto/inventory';
import fc from 'fast-check';
import { hostIdOf, nixModule, runtimeInfo } from './inventory-exports.ts';
import { inventoryPage, inventoryTable } from './inventory-table.ts';

const server = Inventory.fromPartial({
  boot: { arch: 'x86_64', mode: 'uefi', kernel: '6.12.1' },
  system: { vendor: 'Maker', product: 'R1', serial: 'SYS1' },
  cpu: { vendor: 'GenuineIntel', model: 'CPU 1', sockets: 1, cores: 4, threads: 8 },
  memory: { physicalBytes: 64n * 1024n ** 3n, modules: [{ locator: 'A1', sizeBytes: 64n * 1024n ** 3n }] },
  disks: [
    {
      path: '/dev/nvme0n1',
      sizeBytes: 500_107_862_016n,
      transport: 'nvme-pcie',
      model: 'SSD "1"',
      serial: 'S1',
      byId: ['/dev/disk/by-id/nvme-S1'],
      hasData: false,
    },
    { path: '/dev/sda', sizeBytes: 8_000_000_000n, transport: 'usb', removable: false, hasData: true },
  ],
  nics: [
    { name: 'eno1', mac: 'aa:00:00:00:00:01', driver: 'igb', carrier: false },
    {
      name: 'eno2',
      mac: 'aa:00:00:00:00:02',
      driver: 'ixgbe',
      reached: true,
      carrier: true,
      speedMbps: 10_000,
      addresses: ['fe80::1/64', '10.0.0.9/23', '2001:db8::9/64'],
    },
  ],
  pci: [
    { address: '0000:00:17.0', class: '010601', driver: 'ahci' },
    { address: '0000:00:14.0', class: '0c0330', driver: 'xhci_hcd' },
    { address: '0000:00:02.0', class: '030000', driver: 'i915' },
  ],
});

test('runtime-info has the fields that installers of an encrypted root read, and invents none', () => {
  assert.deepEqual(JSON.parse(runtimeInfo('web1.example.org', server)), {
    hostName: 'web1.example.org',
    hostId: hostIdOf('web1.example.org'),
    diskToFormat: '/dev/disk/by-id/nvme-S1',
    networkInterface: 'eno2',
    networkInterfaceModule: 'ixgbe',
    ipv4: { address: '10.0.0.9', prefixLength: 23, netmask: '255.255.254.0' },
    ipv6: { address: '2001:db8::9', prefixLength: 64 },
  });
  assert.deepEqual(JSON.parse(runtimeInfo('a', Inventory.fromPartial({}))), { hostName: 'a', hostId: hostIdOf('a') });
  // printf 'web1\n' | sha256sum
  assert.match(hostIdOf('web1'), /^[0-9a-f]{8}$/);
});

test('a NixOS module to start from', () => {
  assert.equal(
    nixModule('web1', server),
    `# What web1 is made of, as its inventory has it: a beginning, to be read before it is used.
# Maker R1
{ lib, ... }:
{
  networking.hostName = lib.mkDefault "web1";
  networking.hostId = lib.mkDefault "${hostIdOf('web1')}";
  nixpkgs.hostPlatform = lib.mkDefault "x86_64-linux";
  boot.initrd.availableKernelModules = [ "ahci" "nvme" "usb_storage" "xhci_hcd" ];
  hardware.cpu.intel.updateMicrocode = lib.mkDefault true;
  # It boots by UEFI: boot.loader.systemd-boot.enable, or GRUB with efiSupport.
  # disk /dev/nvme0n1 500107862016 bytes SSD "1" S1: /dev/disk/by-id/nvme-S1
  # disk /dev/sda 8000000000 bytes: /dev/sda
  disko.devices.disk.main.device = lib.mkDefault "/dev/disk/by-id/nvme-S1";
  # network card eno1 aa:00:00:00:00:01 igb
  # network card eno2 aa:00:00:00:00:02 ixgbe
}
`,
  );
  const two = Inventory.fromPartial({ disks: [server.disks[0]!, { ...server.disks[0]!, path: '/dev/nvme1n1' }] });
  assert.match(nixModule('a', two), /\n {2}# disko\.devices\.disk\.main\.device: which of them is for you to say/);
});

test('nothing that a machine says of itself gets out of a comment or a string', () => {
  const evil = fc.string({
    unit: fc.constantFrom('\n', '\r', '"', '$', '{', '}', '\\', '*/', "''", '\u2028', 'a', ';'),
  });
  fc.assert(
    fc.property(evil, evil, (a, b) => {
      const inventory = Inventory.fromPartial({
        system: { vendor: a, product: b },
        boot: { arch: a, mode: b },
        disks: [{ path: '/dev/sda', model: a, serial: b, byId: [b], sizeBytes: 1n }],
        nics: [{ name: a, mac: b, driver: a }],
        pci: [{ address: a, class: '010000', driver: b }],
      });
      for (const line of nixModule('m1', inventory).trimEnd().split('\n'))
        assert.match(
          line,
          /^(?:# .*|\{ lib, \.\.\. \}:|[{}]| {2}# .*| {2}[a-zA-Z.]+ = lib\.mkDefault "(?:[^"\\$]|\\.|\$(?!\{))*";| {2}boot\.initrd\.availableKernelModules = \[ (?:"[a-z0-9_]+" )+\];)$/i,
        );
      JSON.parse(runtimeInfo('m1', inventory));
      for (const line of [...inventoryPage({ host: 'm1', inventory }), ...inventoryTable([{ host: 'm1', inventory }])])
        assert.doesNotMatch(line, /[\r\n\u2028]/);
    }),
  );
});

test('the page of a machine says what there is, and how much more', () => {
  const san = Inventory.fromPartial({
    ...server,
    disks: [
      ...server.disks,
      {
        path: '/dev/mapper/mpatha',
        sizeBytes: 9_000_000_000n,
        multipath: 'mpatha',
        paths: [{ name: 'sdb', state: 'running' }, { name: 'sdc' }],
      },
    ],
    sensors: [
      { chip: 'coretemp', label: 'Package id 0', temperatureMillicelsius: 51_250 },
      { chip: 'nct6798', label: 'fan2', fanRpm: 0, alarm: true },
      { chip: 'psu', label: 'power1', powerMicrowatts: 14_250_000n },
    ],
    kernelErrors: [
      { uptimeMs: 1000n, severity: 3, text: 'first' },
      { uptimeMs: 93_107n, severity: 2, text: 'medium error' },
    ],
  });
  const page = inventoryPage({ host: 'web1', inventory: san }).join('\n');
  for (const want of [
    /^web1\n {2}system {5}Maker R1 serial SYS1\n/,
    / {2}processor {2}CPU 1 1 socket 4 cores 8 threads\n {2}memory {5}64 GiB\n/,
    /\/dev\/nvme0n1 +500 GB +nvme-pcie +SSD "1" +S1 +blank +\/dev\/disk\/by-id\/nvme-S1/,
    /\/dev\/sda +8\.0 GB +usb +holds data/,
    /\/dev\/mapper\/mpatha .* could not be read, 2 ways\n/,
    /\n {2}sensors\n {4}coretemp +Package id 0 +51\.3 °C\n {4}nct6798 +fan2 +0 rpm +ALARM\n {4}psu +power1 +14\.3 W\n/,
    /\n {2}kernel errors\n {4}93\.1 s +medium error\n {4}1\.0 s +first$/,
    /eno2 +aa:00:00:00:00:02 +ixgbe +link 10000 Mbit\/s/,
  ])
    assert.match(page, want);
  const ill = Inventory.fromPartial({
    disks: [
      { path: '/dev/sda', sizeBytes: 8_000_000_000n, hasData: false, health: { verdict: 'fail' } },
      { path: '/dev/sdb', sizeBytes: 9_000_000_000n, hasData: false, health: { verdict: 'warn' } },
    ],
  });
  const illPage = inventoryPage({ host: 'a', inventory: ill }).join('\n');
  assert.match(illPage, /\/dev\/sda .* SAYS THAT IT FAILS, blank/);
  assert.match(illPage, /\/dev\/sdb .* its SMART warns, blank/);
  assert.match(inventoryTable([{ host: 'a', inventory: ill }])[1]!, / 8\.0 GB \(fails\) 9\.0 GB /);
  const many = Inventory.fromPartial({
    disks: Array.from({ length: 33 }, (_, i) => ({ path: `/dev/d${i}`, sizeBytes: 1n })),
  });
  assert.match(
    inventoryPage({ host: 'a', inventory: many }).join('\n'),
    /\n {4}and 13 more: --format json lists them all/,
  );
  assert.deepEqual(inventoryTable([]), ['no machine is known']);
  const [head, first, second] = inventoryTable([{ host: 'web1', inventory: server }, { host: 'db' }]);
  assert.match(head!, /^host +machine +processor +memory +disks +network cards$/);
  assert.match(first!, /^web1 +Maker R1 +8 threads +64 GiB +500 GB 8\.0 GB +2$/);
  assert.equal(second, 'db    nothing is known of it yet');
});
