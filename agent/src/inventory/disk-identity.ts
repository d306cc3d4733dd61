// Who a disk is: maker, model, serial number, worldwide name, and how it is attached.
import type { Disk } from '@nixie/proto/inventory';
import { diskTransport } from './disk-names.ts';
import { findPaths } from './multipath.ts';
import { numaNodeOf } from './pci.ts';
import { cleanText, readUuid, withoutPlaceholder } from './text.ts';
import type { Tree } from './tree.ts';

/**
 * What the disk says about itself.
 * @param all names in /sys/block
 */
export async function identifyDisk(tree: Tree, disk: Disk, base: string, all: readonly string[]): Promise<void> {
  const device = (await tree.real(`${base}/device`)) ?? (await tree.real(base)) ?? '';
  Object.assign(disk, await diskTransport(tree, disk.name, device, await tree.real(base)));
  disk.vendor = withoutPlaceholder(await tree.value(`${base}/device/vendor`));
  // libata and virtio put a word here that names no maker; virtio's is its PCI vendor id.
  if (disk.vendor !== undefined && /^(ATA|0x[0-9a-f]{4})$/i.test(disk.vendor)) disk.vendor = undefined;
  disk.model = withoutPlaceholder(await tree.value(`${base}/device/model`));
  disk.serial =
    withoutPlaceholder(await tree.value(`${base}/device/serial`)) ??
    withoutPlaceholder(await tree.value(`${base}/serial`));
  const page80 = await tree.raw(`${base}/device/vpd_pg80`);
  if (disk.serial === undefined && page80) disk.serial = withoutPlaceholder(readUnitSerial(page80));
  const page89 = await tree.raw(`${base}/device/vpd_pg89`);
  const ata = page89 && readAtaIdentity(page89);
  if (ata) {
    // The SCSI layer cuts the model to 16 characters, and the firmware's version to 4.
    disk.model = ata.model ?? disk.model;
    disk.serial = ata.serial ?? disk.serial;
  }
  disk.wwn =
    readWwn(await tree.value(`${base}/device/wwid`)) ??
    readWwn(await tree.value(`${base}/wwid`)) ??
    readWwn(await tree.value(`${base}/device/wwn`));
  // What tells the disk from others is known; the rest may be cut off by a deadline.
  disk.firmware =
    ata?.firmware ??
    withoutPlaceholder(await tree.value(`${base}/device/firmware_rev`)) ??
    withoutPlaceholder(await tree.value(`${base}/device/rev`));
  Object.assign(disk, await diskMedia(tree, disk.name, base, ata?.rotation));
  disk.zoned = await tree.value(`${base}/queue/zoned`);
  disk.hctl = /\/(\d+:\d+:\d+:\d+)$/.exec(device)?.[1];
  disk.numaNode = await numaNodeOf(tree, disk.pciAddress);
  if (disk.name.startsWith('nvme')) {
    disk.eui = hexName(await tree.value(`${base}/eui`), 16);
    disk.nguid = hexName(await tree.value(`${base}/nguid`), 32);
    disk.nvmeUuid = readUuid(await tree.value(`${base}/uuid`));
  }
  Object.assign(disk, await findPaths(tree, disk, device, all));
}

/** Unlike `rotational`, which is 1 also for virtio, USB and whatever doesn't say, this is only told when the disk does. */
async function diskMedia(
  tree: Tree,
  name: string,
  base: string,
  ataRotation: number | undefined,
): Promise<Pick<Disk, 'media' | 'rpm'>> {
  if (name.startsWith('nvme')) return { media: 'nvme' };
  const page = await tree.raw(`${base}/device/vpd_pgb1`);
  // Block device characteristics (SBC-4 6.6.2): 1 is no rotation, from 0x401 on it is rounds a minute.
  const rotation = page !== undefined && page.length >= 6 && page[1] === 0xb1 ? page.readUInt16BE(4) : ataRotation;
  if (rotation === 1) return { media: 'ssd' };
  return rotation !== undefined && rotation >= 0x401 && rotation < 0xffff ? { media: 'hdd', rpm: rotation } : {};
}

/** `00 25 38 5b` or `0025385b-…` → digits alone; nothing but zeroes is no name. */
function hexName(text: string | undefined, digits: number): string | undefined {
  const name = text?.toLowerCase().replace(/[ -]/g, '');
  return name !== undefined && name.length === digits && /^[0-9a-f]+$/.test(name) && !/^0+$/.test(name)
    ? name
    : undefined;
}

/** `naa.5000c500…` → `0x5000c500…`; `eui.…` and `uuid.…` as they are. Others are made up from model and serial. */
export function readWwn(text: string | undefined): string | undefined {
  const naa = /^naa\.([0-9a-f]{16,32})$/i.exec(text ?? '')?.[1];
  if (naa !== undefined) return /^0+$/.test(naa) ? undefined : `0x${naa.toLowerCase()}`;
  const other = /^((?:eui|uuid)\.[0-9a-f-]{16,36})$/i.exec(text ?? '')?.[1]?.toLowerCase();
  return other !== undefined && !/^(eui|uuid)\.[0-]+$/.test(other) ? other : undefined;
}

/** SCSI vital product data page 0x80: length at 2, text from 4 (SPC-4 7.8.18). */
export function readUnitSerial(page: Uint8Array): string | undefined {
  if (page.length < 5 || page[1] !== 0x80) return undefined;
  const length = (page[2]! << 8) | page[3]!;
  return cleanText(Buffer.from(page.subarray(4, 4 + length)).toString('latin1'));
}

/**
 * Page 0x89 carries the IDENTIFY data at 60 (SAT 12.4.2): serial words 10-19, firmware 23-26, model 27-46, each word byte-swapped; word 217
 * is the rotation rate, as in page 0xb1.
 */
export function readAtaIdentity(page: Uint8Array):
  | {
      model: string | undefined;
      serial: string | undefined;
      firmware: string | undefined;
      rotation: number | undefined;
    }
  | undefined {
  if (page.length < 60 + 94 || page[1] !== 0x89) return undefined;
  const words = (from: number, to: number): string | undefined => {
    const swapped = Buffer.from(page.subarray(60 + from * 2, 60 + (to + 1) * 2)).swap16();
    return withoutPlaceholder(cleanText(swapped.toString('latin1')));
  };
  const at = 60 + 217 * 2;
  const rotation = page.length >= at + 2 ? page[at]! | (page[at + 1]! << 8) : undefined;
  return { model: words(27, 46), serial: words(10, 19), firmware: words(23, 26), rotation };
}
