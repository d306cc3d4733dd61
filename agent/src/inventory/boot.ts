// How the machine came up.
import { existsSync } from 'node:fs';
import { arch } from 'node:os';
import type { Boot } from '@nixie/proto/inventory';
import { withoutSecrets } from '../cmdline.ts';
import { cleanText } from './text.ts';
import type { Tree } from './tree.ts';

const makers: readonly (readonly [RegExp, string])[] = [
  [/^qemu/i, 'qemu'],
  [/vmware/i, 'vmware'],
  [/innotek|virtualbox/i, 'virtualbox'],
  [/^xen/i, 'xen'],
  [/microsoft corporation.*virtual machine/i, 'hyperv'],
  [/amazon ec2/i, 'amazon'],
  [/google compute engine/i, 'google'],
  [/bhyve/i, 'bhyve'],
  [/parallels/i, 'parallels'],
  [/kvm|red hat|ovirt|openstack/i, 'kvm'],
];

/** Absent on metal. */
async function virtualisation(tree: Tree): Promise<string | undefined> {
  const vendor = await tree.value('/sys/class/dmi/id/sys_vendor');
  const product = await tree.value('/sys/class/dmi/id/product_name');
  const named = makers.find(([pattern]) => pattern.test(`${vendor ?? ''} ${product ?? ''}`.trim()))?.[1];
  if (named !== undefined) return named;
  const type = await tree.value('/sys/hypervisor/type');
  if (type !== undefined) return type;
  return /^flags\s*:.*\bhypervisor\b/m.test((await tree.text('/proc/cpuinfo')) ?? '') ? 'vm-other' : undefined;
}

/** @param bootMac the card that the firmware booted from */
export async function collectBoot(tree: Tree, bootMac: string | undefined): Promise<Boot> {
  const line = await tree.text('/proc/cmdline');
  const uptime = Number.parseFloat((await tree.value('/proc/uptime')) ?? '');
  return {
    bootId: (await tree.value('/proc/sys/kernel/random/boot_id')) ?? '',
    uptimeMs: uptime >= 0 ? BigInt(Math.round(uptime * 1000)) : undefined,
    kernel: await tree.value('/proc/sys/kernel/osrelease'),
    // As `uname -m` says it.
    arch: { x64: 'x86_64', arm64: 'aarch64', ia32: 'i686', riscv64: 'riscv64' }[arch() as string],
    mode: existsSync(tree.at('/sys/firmware/efi')) ? 'uefi' : arch() === 'x64' ? 'bios' : undefined,
    bootMac,
    cmdline: line === undefined ? undefined : cleanCommandLine(line),
    virtualisation: await virtualisation(tree),
    entryOrder: [],
    entries: [],
  };
}

function cleanCommandLine(line: string): string | undefined {
  // Longer than the 256 characters of other texts: x86 allows 2,048.
  const words = withoutSecrets(line)
    .split(/\s+/)
    .map((word) => cleanText(word) ?? '');
  return words.join(' ').slice(0, 4096) || undefined;
}
