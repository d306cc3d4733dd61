// How the machine came up.
import type { Boot } from '@nixie/proto/inventory';
import { withoutSecrets } from '../cmdline.ts';
import { collectEfi } from './efi.ts';
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
  const uptimeMs = Math.round(Number.parseFloat((await tree.value('/proc/uptime')) ?? '') * 1000);
  const arch = tree.source.arch();
  const now = tree.source.now();
  const rtc = await tree.count('/sys/class/rtc/rtc0/since_epoch');
  const efi = (await tree.real('/sys/firmware/efi')) !== undefined;
  return {
    bootId: (await tree.value('/proc/sys/kernel/random/boot_id')) ?? '',
    uptimeMs: uptimeMs >= 0 && Number.isSafeInteger(uptimeMs) ? BigInt(uptimeMs) : undefined,
    kernel: await tree.value('/proc/sys/kernel/osrelease'),
    arch,
    // Only PCs ever had the other one.
    mode: efi ? 'uefi' : arch === 'x86_64' || arch === 'i686' ? 'bios' : undefined,
    bootMac,
    cmdline: line === undefined ? undefined : cleanCommandLine(line),
    virtualisation: await virtualisation(tree),
    clockUnixMs: now === undefined ? undefined : BigInt(now),
    rtcUnixMs: rtc === undefined ? undefined : BigInt(rtc) * 1000n,
    ...(efi ? await collectEfi(tree) : { entryOrder: [], entries: [] }),
  };
}

function cleanCommandLine(line: string): string | undefined {
  // Longer than the 256 characters of other texts: x86 allows 2,048.
  const words = withoutSecrets(line)
    .split(/\s+/)
    .map((word) => cleanText(word) ?? '');
  return words.join(' ').slice(0, 4096) || undefined;
}
