// Is what the agent says of a machine what others say of it: lsblk, ip, /proc, and the command line that the machine was made by?
import assert from 'node:assert/strict';
import { soloHardware } from './solo.ts';

interface Block {
  name: string;
  type: string;
  size: number;
  ro: boolean;
  rm: boolean;
  rota: boolean;
  'log-sec': number;
  'phy-sec': number;
  serial: string | null;
  mountpoints: (string | null)[];
  children?: Block[];
}

interface Link {
  ifname: string;
  address: string;
  mtu: number;
  operstate: string;
  addr_info: { family: string; local: string; prefixlen: number }[];
}

interface Facts {
  readonly firmware: 'uefi' | 'bios';
  readonly diskSerial: string;
  readonly diskBytes: number;
  /** Text that a command prints on the machine. */
  readonly ssh: (command: string) => Promise<string>;
}

// biome-ignore lint/suspicious/noExplicitAny: its form is the schema's business
type Printed = any;

const divider = '--- next ---';

/** @returns what the agent printed */
export async function checkInventory({ firmware, diskSerial, diskBytes, ssh }: Facts): Promise<Printed> {
  const columns = 'NAME,TYPE,SIZE,RO,RM,ROTA,LOG-SEC,PHY-SEC,SERIAL,MOUNTPOINTS';
  // In one login: on an emulated machine each takes a second.
  const [printed, meminfo, cpuinfo, bootId, kernel, pci, lsblk, addresses] = (
    await ssh(
      [
        'nixie-agent --inventory',
        'cat /proc/meminfo',
        'cat /proc/cpuinfo',
        'cat /proc/sys/kernel/random/boot_id',
        'cat /proc/sys/kernel/osrelease',
        'cd /sys/bus/pci/devices; for d in *; do echo $d $(cat $d/vendor) $(cat $d/device); done',
        `lsblk -J -b -o ${columns}`,
        'ip -j address',
      ].join(`; echo '${divider}'; `),
    )
  )
    .split(divider)
    .map((text) => text.trim()) as [string, string, string, string, string, string, string, string];
  const told: Printed = JSON.parse(printed);

  assert.deepEqual(
    told.errors.filter(({ code }: Printed) => code !== 'not-installed'),
    [],
  );
  // As QEMU was told.
  assert.deepEqual(
    [told.system.vendor, told.system.product, told.system.serial, told.system.uuid],
    [soloHardware.vendor, soloHardware.product, soloHardware.serial, soloHardware.uuid],
  );
  assert.deepEqual([told.boot.mode, told.boot.virtualisation !== undefined], [firmware, true]);
  assert.deepEqual([told.cpu.threads, told.cpu.sockets], [soloHardware.threads, soloHardware.sockets]);
  assert.equal(told.memory.physical_bytes, soloHardware.memoryBytes);
  assert.equal(
    told.memory.modules.reduce((sum: number, { size_bytes = 0 }) => sum + size_bytes, 0),
    soloHardware.memoryBytes,
  );

  // As the kernel says.
  assert.equal(told.memory.usable_bytes, Number(/^MemTotal:\s+(\d+)/.exec(meminfo)?.[1]) * 1024);
  assert.equal(told.cpu.threads, cpuinfo.match(/^processor\s*:/gm)?.length);
  assert.equal(told.cpu.model, /^model name\s*: (.*)$/m.exec(cpuinfo)?.[1]?.trim());
  assert.deepEqual([...told.cpu.flags].sort(), /^flags\s*: (.*)$/m.exec(cpuinfo)?.[1]?.trim().split(' ').sort());
  assert.equal(told.boot.boot_id, bootId);
  assert.equal(told.boot.kernel, kernel);
  assert.deepEqual(
    told.pci.map(({ address, vendor_id, device_id }: Printed) => `${address} 0x${vendor_id} 0x${device_id}`),
    pci.split('\n'),
  );

  // As lsblk says.
  const { blockdevices } = JSON.parse(lsblk) as { blockdevices: Block[] };
  const blocks = blockdevices.filter(({ type, name }) => type === 'disk' && !name.startsWith('zram'));
  assert.deepEqual(
    told.disks.map((disk: Printed) => [
      disk.name,
      disk.size_bytes,
      disk.read_only,
      disk.removable,
      disk.rotational,
      disk.logical_block_bytes,
      disk.physical_block_bytes,
      disk.serial ?? null,
      disk.partitions.map(({ size_bytes }: Printed) => size_bytes),
      disk.mounted_at,
    ]),
    blocks.map((block) => [
      block.name,
      block.size,
      block.ro,
      block.rm,
      block.rota,
      block['log-sec'],
      block['phy-sec'],
      block.serial,
      (block.children ?? []).map(({ size }) => size),
      [block, ...(block.children ?? [])]
        .flatMap(({ mountpoints }) => mountpoints)
        .filter((each) => each !== null)
        .sort(),
    ]),
  );
  const disk = told.disks.find(({ serial }: Printed) => serial === diskSerial);
  assert.deepEqual([disk?.size_bytes, disk?.transport], [diskBytes, 'virtio']);

  // As ip says.
  const links = (JSON.parse(addresses) as Link[]).filter(({ ifname }) => ifname !== 'lo');
  assert.deepEqual(
    told.nics.map(({ name, mac, mtu, carrier, addresses }: Printed) => [
      name,
      mac,
      mtu,
      carrier,
      // IPv6 addresses come and go by themselves.
      addresses.filter((each: string) => !each.includes(':')),
    ]),
    links.map(({ ifname, address, mtu, operstate, addr_info }) => [
      ifname,
      address,
      mtu,
      operstate === 'UP',
      addr_info.filter(({ family }) => family === 'inet').map(({ local, prefixlen }) => `${local}/${prefixlen}`),
    ]),
  );
  assert.deepEqual(
    told.nics.map(({ mac, permanent_mac, driver }: Printed) => [mac, permanent_mac, driver]),
    [[soloHardware.mac, soloHardware.mac, 'virtio_net']],
  );
  return told;
}
