// An inventory in the words of other programs: the runtime-info that zfs installers read, and a beginning of a NixOS configuration. Pure.
import { createHash } from 'node:crypto';
import type { Disk, Inventory, Nic } from '@nixie/proto/inventory';
import { nixString } from '../nix/expression.ts';
import { clean } from './text.ts';

/** ZFS wants 8 hex digits that differ from machine to machine; made from the name, as `hostname -f` prints it, with its line end. */
export function hostIdOf(name: string): string {
  return createHash('sha256').update(`${name}\n`).digest('hex').slice(0, 8);
}

/**
 * Fields that installers of an encrypted ZFS root know: hostName, hostId, rootAuthorizedKeys, diskToFormat, networkInterface,
 * networkInterfaceModule, ipv4, ipv6. What the inventory doesn't know (gateways, keys) is absent.
 */
export function runtimeInfo(host: string, inventory: Inventory): string {
  const nic = mainCard(inventory.nics);
  const disk = onlyDisk(inventory.disks);
  const v4 = addressOf(nic, /^(\d+(?:\.\d+){3})\/(\d+)$/);
  const v6 = addressOf(nic, /^(?!fe[89ab])([0-9a-f:]*:[0-9a-f:]*)\/(\d+)$/i);
  const info = {
    hostName: host,
    hostId: hostIdOf(host),
    diskToFormat: disk && stableName(disk),
    networkInterface: nic?.name,
    networkInterfaceModule: nic?.driver,
    ipv4: v4 && { ...v4, netmask: netmask(v4.prefixLength) },
    ipv6: v6,
  };
  return `${JSON.stringify(info, null, 2)}\n`;
}

/** A module to start from: what this very machine needs to find its disks and cards. */
export function nixModule(host: string, inventory: Inventory): string {
  const { cpu, boot, disks, nics } = inventory;
  const platform = { x86_64: 'x86_64-linux', aarch64: 'aarch64-linux' }[boot?.arch ?? ''];
  const maker = cpu?.vendor === 'GenuineIntel' ? 'intel' : cpu?.vendor === 'AuthenticAMD' ? 'amd' : undefined;
  const modules = initrdModules(inventory);
  const disk = onlyDisk(disks);
  const lines = [
    `# What ${comment(host)} is made of, as its inventory has it: a beginning, to be read before it is used.`,
    ...([inventory.system?.vendor, inventory.system?.product].filter((each) => each).length > 0
      ? [`# ${comment([inventory.system?.vendor, inventory.system?.product].filter((each) => each).join(' '))}`]
      : []),
    '{ lib, ... }:',
    '{',
    `  networking.hostName = lib.mkDefault ${nixString(host)};`,
    `  networking.hostId = lib.mkDefault ${nixString(hostIdOf(host))};`,
    ...(platform === undefined ? [] : [`  nixpkgs.hostPlatform = lib.mkDefault ${nixString(platform)};`]),
    ...(modules.length === 0
      ? []
      : [`  boot.initrd.availableKernelModules = [ ${modules.map(nixString).join(' ')} ];`]),
    ...(maker === undefined ? [] : [`  hardware.cpu.${maker}.updateMicrocode = lib.mkDefault true;`]),
    ...(boot?.mode === 'uefi'
      ? ['  # It boots by UEFI: boot.loader.systemd-boot.enable, or GRUB with efiSupport.']
      : []),
    ...(boot?.mode === 'bios'
      ? ['  # It boots by BIOS: boot.loader.grub, with a partition of type EF02 on a GPT disk.']
      : []),
    ...disks.map(
      (each) =>
        `  # disk ${comment([each.path, String(each.sizeBytes), 'bytes', each.model, each.serial].filter((part) => part).join(' '))}: ${comment(stableName(each))}`,
    ),
    disk === undefined
      ? '  # disko.devices.disk.main.device: which of them is for you to say; see also "disk" in hosts.json.'
      : `  disko.devices.disk.main.device = lib.mkDefault ${nixString(stableName(disk))};`,
    ...nics.map(
      (nic) =>
        `  # network card ${comment([nic.name, nic.permanentMac ?? nic.mac, nic.driver].filter((part) => part).join(' '))}`,
    ),
    '}',
  ];
  return `${lines.join('\n')}\n`;
}

/** Text of a machine inside a comment: one line of it. */
function comment(text: string): string {
  return clean(text, 200).replace(/[\r\n]/g, ' ');
}

/** The one disk that could carry a system; undefined: none, or the choice isn't ours. */
function onlyDisk(disks: readonly Disk[]): Disk | undefined {
  const fixed = disks.filter((disk) => disk.removable !== true && disk.readOnly !== true && disk.transport !== 'usb');
  return fixed.length === 1 && deviceName.test(stableName(fixed[0]!)) ? fixed[0] : undefined;
}

/** udev's names have no other letters; what has is not offered. */
function stableName(disk: Disk): string {
  return [disk.byId[0], disk.byPath].find((name) => name !== undefined && deviceName.test(name)) ?? disk.path;
}

const deviceName = /^\/dev\/[A-Za-z0-9#+.:=@_/-]{1,250}$/;

/** That reached the controller; else that it booted from; else the first that has a link. */
function mainCard(nics: readonly Nic[]): Nic | undefined {
  return (
    nics.find((nic) => nic.reached === true) ??
    nics.find((nic) => nic.booted === true) ??
    nics.find((nic) => nic.carrier === true)
  );
}

function addressOf(nic: Nic | undefined, form: RegExp): { address: string; prefixLength: number } | undefined {
  for (const text of nic?.addresses ?? []) {
    const [, address, bits] = form.exec(text) ?? [];
    if (address !== undefined) return { address, prefixLength: Number(bits) };
  }
  return undefined;
}

function netmask(bits: number): string {
  const mask = bits === 0 ? 0 : (0xffffffff << (32 - Math.min(32, bits))) >>> 0;
  return [24, 16, 8, 0].map((shift) => (mask >>> shift) & 255).join('.');
}

/** PCI classes whose drivers the initrd needs: mass storage, and USB controllers. */
const bootClasses = /^(?:01|0c03)/;
/** By how a disk is attached, where the bus isn't known. */
const transports: Readonly<Record<string, string>> = {
  'nvme-pcie': 'nvme',
  sata: 'ahci',
  virtio: 'virtio_blk',
  usb: 'usb_storage',
  mmc: 'mmc_block',
};

function initrdModules({ pci, disks, nics }: Inventory): string[] {
  const bus = pci.filter((device) => bootClasses.test(device.class ?? '')).flatMap((device) => device.driver ?? []);
  const attached = disks.flatMap((disk) => transports[disk.transport ?? ''] ?? []);
  const virtio = nics.some((nic) => nic.driver === 'virtio_net') ? ['virtio_pci'] : [];
  // The kernel's names of modules, nothing else.
  const all = [...bus, ...attached, ...virtio].map((name) => name.replaceAll('-', '_'));
  return [...new Set(all)].filter((name) => /^[a-z0-9_]{1,64}$/i.test(name)).sort();
}
