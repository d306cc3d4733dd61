// What is made of whole machines: each is a recorded tree, as `nixie-agent --record` leaves it. It is long because each machine is told field by field.
import assert from 'node:assert/strict';
import test from 'node:test';
import { laptop } from './fixtures/laptop.ts';
import { armBoard, junk, multipath, virtualMachine } from './fixtures/others.ts';
import { server } from './fixtures/server.ts';
import type { Laid } from './lay-tree.ts';
import { codes, printed } from './printed.ts';

test('a laptop', async () => {
  const told = await printed(laptop);
  const { boot, system, cpu, memory, disks, nics, pci, usb, tpm } = told;
  assert.deepEqual(
    [boot.arch, boot.mode, boot.firmware_bits, boot.secure_boot, boot.setup_mode, boot.current_entry, boot.entry_order],
    ['x86_64', 'uefi', 64, true, false, 2, [2, 26]],
  );
  assert.deepEqual(boot.entries, [
    { number: 2, description: 'PXE IPv4', active: true, kind: 'mac', mac: '3c:52:82:11:22:33' },
    { number: 26, description: 'Linux Boot Manager', active: true, kind: 'file' },
  ]);
  assert.equal(boot.clock_unix_ms, 1_763_000_000_000);
  assert.ok(!('virtualisation' in boot));
  assert.deepEqual(
    [system.vendor, system.version, system.chassis_type, system.bios_date, system.bios_release],
    ['LENOVO', 'ThinkPad X1 Carbon Gen 10', 10, '2024-08-12', '1.62'],
  );
  assert.deepEqual(
    [cpu.sockets, cpu.cores, cpu.threads, cpu.max_mhz, cpu.smt_active, cpu.family, cpu.stepping, cpu.microcode],
    [1, 4, 6, 4700, true, '6', '3', '0x437'],
  );
  assert.deepEqual(cpu.caches, [
    { level: 1, type: 'data', size_bytes: 49_152, count: 4 },
    { level: 3, type: 'unified', size_bytes: 18_874_368, count: 1 },
  ]);
  assert.deepEqual([memory.physical_bytes, memory.ecc, memory.slots], [34_359_738_368, 'none', 1]);
  assert.deepEqual(memory.modules, [
    {
      locator: 'Motherboard',
      bank: 'BANK 0',
      fitted: true,
      size_bytes: 34_359_738_368,
      type: 'LPDDR5',
      speed_mtps: 6400,
      configured_mtps: 5200,
      vendor: 'Samsung',
      part_number: 'K3LKCKC0BM-MGCP',
    },
  ]);
  const [nvme, stick] = [
    disks.find((disk: { name: string }) => disk.name === 'nvme0n1'),
    disks.find((disk: { name: string }) => disk.name === 'sda'),
  ];
  assert.deepEqual(
    [nvme.media, nvme.transport, nvme.wwn, nvme.eui, nvme.nguid, nvme.firmware, nvme.serial, nvme.in_use, nvme.zoned],
    [
      'nvme',
      'nvme-pcie',
      'eui.002538b131b2c3d4',
      '002538b131b2c3d4',
      undefined,
      'GXA7602Q',
      'S64KNX0T000001',
      false,
      'none',
    ],
  );
  assert.deepEqual(nvme.health, {
    verdict: 'ok',
    temperature_millicelsius: 41_000,
    power_on_hours: 2291,
    percent_used: 3,
    media_errors: 0,
  });
  // `rotational` is what the kernel guesses of a stick; media is what the disk says, which is nothing.
  assert.deepEqual(
    [stick.transport, stick.rotational, stick.media, stick.hctl, stick.has_data, stick.health],
    ['usb', true, undefined, '0:0:0:0', false, undefined],
  );
  assert.deepEqual(
    nics.map((nic: Record<string, unknown>) => [
      nic.name,
      nic.permanent_mac,
      nic.firmware,
      nic.carrier,
      nic.wol_supported,
      nic.wol_enabled,
      nic.autoneg,
      nic.default_route,
    ]),
    [
      ['wlp0s20f3', '8c:f8:c5:01:02:03', '89.123cf747.0 so-a0', undefined, undefined, undefined, undefined, false],
      ['enp0s31f6', '3c:52:82:11:22:33', '0.8-4', true, 'pumbg', 'g', true, true],
    ],
  );
  assert.deepEqual(
    pci.find((each: { address: string }) => each.address === '0000:01:00.0'),
    {
      address: '0000:01:00.0',
      class: '010802',
      vendor_id: '144d',
      device_id: 'a80a',
      revision: 0,
      driver: 'nvme',
      link_mtps: 16_000,
      link_lanes: 4,
      max_link_mtps: 16_000,
      max_link_lanes: 4,
    },
  );
  assert.deepEqual(usb, [
    { port: '2-3', vendor_id: '0781', product_id: '5581', product: 'Ultra', device_class: '00', speed_kbps: 5_000_000 },
  ]);
  assert.deepEqual(tpm, { present: true, version_major: 2, pcr_banks: ['sha256', 'sha384'], vendor: 'IFC' });
  assert.equal(told.bmc, undefined);
  assert.deepEqual(codes(told), ['health: smartctl --json -H -A /dev/sda status-2', 'nics: lldpcli not-installed']);
});

test('a server with two sockets, 26 disks, a mirror, LLDP and a BMC', async () => {
  const told = await printed(server);
  const { cpu, memory, disks, nics, numa, bmc, arrays } = told;
  assert.deepEqual([cpu.sockets, cpu.cores, cpu.threads], [2, 32, 64]);
  assert.deepEqual(numa, [
    { node: 0, cpulist: '0-31', memory_bytes: 270_305_280_000, distances: [10, 21] },
    { node: 1, cpulist: '32-63', memory_bytes: 270_305_280_000, distances: [21, 10] },
  ]);
  assert.deepEqual([memory.physical_bytes, memory.ecc, memory.slots], [8 * 2 ** 36, 'multi', 16]);
  assert.deepEqual(
    memory.modules.filter((each: { fitted: boolean }) => !each.fitted).map((each: { locator: string }) => each.locator),
    ['A5', 'A6', 'A7', 'A8', 'B5', 'B6', 'B7', 'B8'],
  );
  assert.equal(disks.length, 26);
  const disk = (name: string) => disks.find((each: { name: string }) => each.name === name);
  const sdh = disk('sdh');
  assert.deepEqual(
    [
      sdh.size_bytes,
      sdh.transport,
      sdh.vendor,
      sdh.model,
      sdh.serial,
      sdh.wwn,
      sdh.media,
      sdh.rpm,
      sdh.hctl,
      sdh.numa_node,
    ],
    [8_001_563_222_016, 'sas', 'SEAGATE', 'ST8000NM001A', 'ZR500007', '0x5000c500d0000007', 'hdd', 7200, '0:0:7:0', 1],
  );
  assert.deepEqual(sdh.health, {
    verdict: 'fail',
    temperature_millicelsius: 32_000,
    power_on_hours: 20_007,
    reallocated_sectors: 1734,
  });
  assert.deepEqual(
    [disk('sdj').health.verdict, disk('sda').health.verdict, disk('sdy').health],
    ['warn', 'ok', undefined],
  );
  assert.equal(sdh.by_path, '/dev/disk/by-path/pci-0000:18:00.0-sas-exp0-phy7-lun-0');
  const sdy = disk('sdy');
  assert.deepEqual(
    [sdy.model, sdy.serial, sdy.firmware, sdy.media, sdy.rpm, sdy.holders, sdy.mounted_at, sdy.in_use],
    ['INTEL SSDSC2KB240G8', 'PHYF000000AA240AGN', 'XCV10132', 'ssd', undefined, ['md127'], ['/boot'], true],
  );
  assert.deepEqual(arrays, [
    {
      name: 'md127',
      path: '/dev/md127',
      kind: 'md',
      level: 'raid1',
      size_bytes: 239_922_577_408,
      members: ['sdy1', 'sdz1'],
      state: 'clean',
      mounted_at: ['/boot'],
    },
  ]);
  assert.deepEqual(
    nics.map((nic: Record<string, unknown>) => [
      nic.name,
      nic.speed_mbps,
      nic.booted,
      nic.default_route,
      nic.sriov_total_vfs,
      nic.wol_supported,
    ]),
    [
      ['eno1', 10_000, true, true, 32, ''],
      ['eno2', 10_000, false, false, 32, ''],
      ['eno3', undefined, false, false, 32, ''],
      ['eno4', undefined, false, false, 32, ''],
    ],
  );
  assert.deepEqual(nics[0].lldp, [
    {
      chassis_id: '00:1c:73:aa:bb:01',
      chassis_id_type: 'mac',
      port_id: 'Ethernet12',
      port_id_type: 'ifname',
      system_name: 'leaf-3',
      system_description: 'Arista Networks EOS version 4.30',
      management_addresses: ['10.0.255.3'],
      vlan: 77,
      ttl_s: 120,
      capabilities: ['Bridge'],
      vlans: [{ id: 77, name: 'install' }, { id: 78 }],
      max_frame_bytes: 9236,
      aggregated: true,
    },
  ]);
  assert.deepEqual(bmc, {
    ipmi_version: '2.0',
    firmware: '7.10',
    manufacturer_id: 674,
    product_id: 256,
    device_id: 32,
    guid: '44454c4c-4200-1031-8043-c2c04f313233',
    interface: 'kcs',
    channels: [
      {
        number: 1,
        source: 'dhcp',
        address4: '10.0.9.41/24',
        addresses6: ['fd00:9::41/128'],
        mac: 'd0:94:66:00:00:99',
        vlan: 109,
        gateway4: '10.0.9.1',
      },
      { number: 8, source: 'dhcp', addresses6: [], mac: 'd0:94:66:00:00:99', vlan: 109, gateway4: '10.0.9.1' },
    ],
    redfish: [
      {
        device: 'usb',
        host_address: '169.254.0.2',
        service_address: '169.254.0.1',
        service_port: 443,
        service_host: 'idrac-9',
      },
    ],
  });
  // A fan that stands still says 0; what nothing hangs on, and what is broken, says nothing.
  assert.deepEqual(told.sensors, [
    {
      chip: 'coretemp',
      label: 'Package id 0',
      temperature_millicelsius: 51_000,
      critical_millicelsius: 98_000,
      alarm: false,
    },
    { chip: 'i40e', label: 'curr1', current_milliamperes: -120, pci_address: '0000:3b:00.0' },
    { chip: 'i40e', label: 'power1', power_microwatts: 14_250_000, pci_address: '0000:3b:00.0' },
    { chip: 'nct6798', label: 'fan1', fan_rpm: 4320 },
    { chip: 'nct6798', label: 'fan2', fan_rpm: 0, alarm: true },
    { chip: 'nct6798', label: 'in0', voltage_millivolts: 1816 },
  ]);
  assert.deepEqual(told.kernel_errors, [
    {
      uptime_ms: 8412,
      severity: 3,
      text: 'mpt3sas_cm0: log_info(0x31120303): originator(PL), code(0x12), sub_code(0x0303)',
    },
    { uptime_ms: 93_107, severity: 2, text: 'blk_update_request: critical medium error, dev sdh, sector 4711' },
  ]);
  assert.deepEqual(codes(told), [
    'health: smartctl --json -H -A /dev/sdy deadline',
    'health: smartctl --json -H -A /dev/sdz deadline',
  ]);
});

test('an ARM board without SMBIOS', async () => {
  const told = await printed(armBoard);
  const { boot, system, cpu, memory, disks, nics } = told;
  assert.deepEqual([boot.arch, boot.mode], ['aarch64', undefined]);
  assert.deepEqual(system, {
    product: 'Raspberry Pi 4 Model B Rev 1.4',
    serial: '10000000abcdef01',
    compatible: ['raspberrypi,4-model-b', 'brcm,bcm2711'],
  });
  assert.deepEqual(
    [cpu.vendor, cpu.model, cpu.cores, cpu.family, cpu.flags],
    ['0x41', undefined, 2, '8', ['fp', 'asimd', 'evtstrm', 'crc32']],
  );
  assert.deepEqual(memory, { usable_bytes: 8_190_808_064, modules: [] });
  assert.deepEqual(
    disks.map((disk: Record<string, unknown>) => [disk.name, disk.transport, disk.table, disk.media, disk.pci_address]),
    [['mmcblk0', 'mmc', 'dos', undefined, undefined]],
  );
  assert.deepEqual(
    [nics[0].name, nics[0].vendor_id, nics[0].pci_address, nics[0].speed_mbps],
    ['end0', undefined, undefined, 1000],
  );
  assert.deepEqual([told.tpm, told.bmc, told.numa, told.pci], [undefined, undefined, [], []]);
});

test('a virtual machine, where most drivers say that they do not know', async () => {
  const { boot, system, cpu, memory, disks, nics, pci, tpm } = await printed(virtualMachine);
  assert.deepEqual([boot.mode, boot.virtualisation], ['bios', 'qemu']);
  assert.deepEqual([system.uuid, system.version], [undefined, 'pc-q35-7.2']);
  assert.deepEqual([cpu.sockets, cpu.cores, cpu.smt_active, cpu.max_mhz], [2, 2, false, undefined]);
  assert.deepEqual(memory.modules, [{ locator: 'DIMM 0', fitted: true, size_bytes: 2 ** 30, vendor: 'QEMU' }]);
  assert.deepEqual(
    [disks[0].serial, disks[0].vendor, disks[0].media, disks[0].health],
    [undefined, undefined, undefined, undefined],
  );
  assert.deepEqual(
    [nics[0].pci_address, nics[0].vendor_id, nics[0].device_id, nics[0].speed_mbps, nics[0].duplex, nics[0].numa_node],
    ['0000:00:02.0', '1af4', '1041', undefined, undefined, undefined],
  );
  assert.deepEqual([pci[0].link_mtps, pci[0].link_lanes, pci[0].numa_node], [undefined, undefined, undefined]);
  assert.deepEqual(tpm, { present: false, pcr_banks: [] });
});

test('a box whose maker filled nothing in', async () => {
  const told = await printed(junk);
  assert.deepEqual(told.system, { board_vendor: 'ACME [31m Boards', bios_version: '9'.repeat(256), compatible: [] });
  assert.deepEqual(told.memory, {
    physical_bytes: 2 ** 33,
    slots: 2,
    modules: [
      {
        locator: 'DIMM_A1',
        bank: 'BANK 0',
        fitted: true,
        size_bytes: 2 ** 33,
        type: 'DDR4',
        part_number: 'Array1_PartNumber0',
      },
      { locator: 'DIMM_A2', bank: 'BANK 1', fitted: false },
    ],
  });
  assert.deepEqual(told.nics, [{ name: 'eth0', addresses: [], lldp: [] }]);
  assert.deepEqual(
    codes(told).filter((each) => !/not-recorded/.test(each)),
    ['system: /sys/class/dmi/id/product_serial EACCES'],
  );
});

test('where mounts can not be read, nobody says that a disk is not in use', async () => {
  const { 'proc/self/mountinfo': _, ...without } = server;
  for (const [laid, path, code] of [
    [without, '/proc/self/mountinfo', 'ENOENT'],
    [{ ...server, 'proc/self/mountinfo': null }, '/proc/self/mountinfo', 'EISDIR'],
    [{ ...server, 'proc/swaps': null }, '/proc/swaps', 'EISDIR'],
  ] as const satisfies [Laid, string, string][]) {
    const told = await printed(laid, 'quick');
    const uses = new Set(told.disks.map((disk: { in_use?: boolean }) => disk.in_use));
    // What holds a disk is known all the same.
    assert.deepEqual(uses, new Set([true, undefined]), path);
    assert.deepEqual(codes(told), [`disks: ${path} ${code}`]);
  }
  const loneLun = async (laid: Laid) =>
    (await printed(laid)).disks.find(({ path }: { path: string }) => path === '/dev/sdc').in_use;
  assert.equal(await loneLun(multipath), false);
  assert.equal(await loneLun({ ...multipath, 'proc/self/mountinfo': null }), undefined);
});

test('a quick inventory has what a full one has of disks and cards, and asks nobody but ip', async () => {
  const [quick, full] = [await printed(server, 'quick'), await printed(server)];
  assert.deepEqual([quick.depth, full.depth, quick.hardware_sha256], ['quick', 'full', undefined]);
  const bare = (disk: Record<string, unknown>) => ({ ...disk, health: undefined });
  assert.deepEqual(quick.disks.map(bare), full.disks.map(bare));
  assert.deepEqual([quick.sensors, quick.kernel_errors], [[], []]);
  assert.deepEqual([quick.pci, quick.numa, quick.arrays, quick.bmc, quick.errors], [[], [], [], undefined, []]);
  assert.deepEqual(quick.memory, full.memory);
});

test('the same hardware has the same word whatever it runs, other hardware another', async () => {
  const word = async (change: Laid) => (await printed({ ...server, ...change })).hardware_sha256;
  const before = await word({});
  const nic = 'sys/devices/pci0000:3a/0000:3a:00.0/0000:3b:00.1';
  const same: Laid = {
    'proc/cmdline': 'quiet\n',
    'proc/uptime': '1000.0 1\n',
    'sys/class/dmi/id/bios_version': '2.0.1\n',
    [`${nic}/net/eno2/carrier`]: '0\n',
    [`${nic}/net/eno2/speed`]: '-1\n',
    [`${nic}/sriov_numvfs`]: '8\n',
    'proc/self/mountinfo': '',
  };
  assert.equal(await word(same), before);
  for (const other of [
    { 'sys/class/dmi/id/product_serial': 'ABC1235\n' },
    { [`${nic}/device`]: '0x1583\n' },
    { 'sys/devices/system/cpu/present': '0-31\n' },
  ] as Laid[])
    assert.notEqual(await word(other), before, Object.keys(other)[0]);
});

test('numbers that no field can hold are absent', async () => {
  const told = await printed({
    ...laptop,
    'proc/uptime': '18446744073709551616.00 1.00\n',
    'sys/block/sda/queue/logical_block_size': '4294967296\n',
    'sys/block/sda/queue/physical_block_size': '0\n',
    'sys/devices/system/cpu/online': '0-99999999999999999999\n',
  });
  const disk = told.disks.find(({ name }: { name: string }) => name === 'sda');
  assert.deepEqual([disk.logical_block_bytes, disk.physical_block_bytes], [undefined, undefined]);
  assert.deepEqual([told.boot.uptime_ms, told.boot.arch, told.cpu.online], [undefined, 'x86_64', undefined]);
  assert.ok(told.cpu.threads > 0 && told.cpu.threads < 10);
  const endless = await printed({ ...laptop, 'proc/uptime': '9e999 1\n' });
  assert.deepEqual([endless.boot.uptime_ms, endless.boot.arch], [undefined, 'x86_64']);
});

test('a list of processors is told whole, however long: cut off it would name fewer', async () => {
  // Firmware of some makers numbers threads from socket to socket: the list of a node names each of its 112.
  const even = Array.from({ length: 112 }, (_, index) => 2 * index).join(',');
  const distances = Array.from({ length: 128 }, (_, index) => (index === 0 ? 10 : 21));
  const { numa, cpu } = await printed({
    ...laptop,
    'sys/devices/system/node/node0/cpulist': `${even}\n`,
    'sys/devices/system/node/node0/distance': `${distances.join(' ')}\n`,
    'sys/devices/system/cpu/online': `${even}\n`,
  });
  assert.equal(numa[0].cpulist, even);
  assert.deepEqual(numa[0].distances, distances);
  assert.deepEqual([cpu.online, cpu.threads], [even, 112]);
});

test('what the kernel and a BMC write where they do not know is absent', async () => {
  const { cpu } = await printed({
    ...laptop,
    'proc/cpuinfo':
      'processor\t: 0\nvendor_id\t: unknown\ncpu family\t: 6\nmodel name\t: unknown\nstepping\t: unknown\nmicrocode\t: 0xffffffff\n',
    'sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq': '0\n',
  });
  assert.deepEqual(
    [cpu.vendor, cpu.model, cpu.stepping, cpu.microcode, cpu.max_mhz, cpu.family],
    // What the firmware calls it counts then.
    ['Intel(R) Corporation', '12th Gen Intel(R) Core(TM) i7-1260P', undefined, undefined, undefined, '6'],
  );
  const bmc = 'sys/devices/platform/ipmi_bmc.0';
  const told = await printed({
    ...server,
    [`${bmc}/manufacturer_id`]: '0x000000\n',
    [`${bmc}/product_id`]: '0xffff\n',
    [`${bmc}/device_id`]: '0\n',
    'sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq': '999999999999999\n',
  });
  assert.deepEqual(
    [told.bmc.manufacturer_id, told.bmc.product_id, told.bmc.device_id, told.bmc.ipmi_version, told.cpu.max_mhz],
    [undefined, undefined, undefined, '2.0', undefined],
  );
});
