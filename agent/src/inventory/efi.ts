// What the UEFI firmware keeps in its variables: Secure Boot and the boot entries (UEFI 2.10, sections 3.3, 32.3, 10.3).
import type { Boot, BootEntry } from '@nixie/proto/inventory';
import { cleanText } from './text.ts';
import type { Tree } from './tree.ts';

const folder = '/sys/firmware/efi/efivars';
/** EFI_GLOBAL_VARIABLE */
const globalGuid = '8be4df61-93ca-11d2-aa0d-00e098032b8c';

/** The value of a global variable: efivarfs puts its four bytes of attributes in front. */
async function variable(tree: Tree, name: string): Promise<Buffer | undefined> {
  const raw = await tree.raw(`${folder}/${name}-${globalGuid}`);
  return raw !== undefined && raw.length > 4 ? raw.subarray(4) : undefined;
}

async function flag(tree: Tree, name: string): Promise<boolean | undefined> {
  const value = await variable(tree, name);
  return value?.length === 1 && value[0]! <= 1 ? value[0] === 1 : undefined;
}

export type EfiFacts = Pick<
  Boot,
  'firmwareBits' | 'secureBoot' | 'setupMode' | 'currentEntry' | 'entryOrder' | 'entries'
>;

export async function collectEfi(tree: Tree): Promise<EfiFacts> {
  const bits = await tree.count('/sys/firmware/efi/fw_platform_size');
  const current = await variable(tree, 'BootCurrent');
  const order = (await variable(tree, 'BootOrder')) ?? new Uint8Array();
  const entries: BootEntry[] = [];
  for (const name of await tree.list(folder)) {
    const number = new RegExp(`^Boot([0-9A-F]{4})-${globalGuid}$`).exec(name)?.[1];
    if (number === undefined || entries.length >= 256) continue;
    const option = await variable(tree, `Boot${number}`);
    if (option !== undefined) entries.push({ number: Number.parseInt(number, 16), ...readLoadOption(option) });
  }
  return {
    firmwareBits: bits === 32 || bits === 64 ? bits : undefined,
    secureBoot: await flag(tree, 'SecureBoot'),
    setupMode: await flag(tree, 'SetupMode'),
    currentEntry: current?.length === 2 ? current.readUInt16LE() : undefined,
    entryOrder: readOrder(order),
    entries,
  };
}

export function readOrder(bytes: Uint8Array): number[] {
  const order: number[] = [];
  for (let at = 0; at + 2 <= bytes.length && order.length < 256; at += 2)
    order.push(bytes[at]! | (bytes[at + 1]! << 8));
  return order;
}

/** EFI_LOAD_OPTION: attributes, length of the device path, description in UTF-16, device path. Never throws. */
export function readLoadOption(bytes: Uint8Array): Omit<BootEntry, 'number'> {
  if (bytes.length < 6) return {};
  let end = 6;
  while (end + 1 < bytes.length && (bytes[end] !== 0 || bytes[end + 1] !== 0)) end += 2;
  const description = Buffer.from(bytes.subarray(6, end)).toString('utf16le');
  const pathLength = bytes[4]! | (bytes[5]! << 8);
  return {
    description: cleanText(description),
    active: (bytes[0]! & 1) === 1,
    ...readDevicePath(bytes.subarray(end + 2, end + 2 + pathLength)),
  };
}

/** Type and subtype of a node, and what it says of where the entry leads; later rows win over earlier ones. */
const kinds: readonly (readonly [type: number, subtype: number, kind: string])[] = [
  [1, 4, 'vendor'],
  [3, 5, 'usb'],
  [3, 18, 'sata'],
  [3, 23, 'nvme'],
  [4, 1, 'disk'],
  [4, 2, 'cdrom'],
  [4, 6, 'firmware'],
  [4, 7, 'firmware'],
  [5, 1, 'legacy'],
  [4, 4, 'file'],
  [3, 11, 'mac'],
  [3, 24, 'uri'],
];

function readDevicePath(path: Uint8Array): Pick<BootEntry, 'kind' | 'mac'> {
  let best = -1;
  let mac: string | undefined;
  for (let at = 0; at + 4 <= path.length; ) {
    const [type, subtype] = [path[at]! & 0x7f, path[at + 1]!];
    const length = path[at + 2]! | (path[at + 3]! << 8);
    if (type === 0x7f || length < 4 || at + length > path.length) break;
    best = Math.max(
      best,
      kinds.findIndex(([a, b]) => a === type && b === subtype),
    );
    // 10.3.4.10: 32 bytes of address, of which Ethernet uses six, then the interface type, 0 or 1.
    if (type === 3 && subtype === 11 && length >= 37 && path[at + 36]! <= 1)
      mac = Buffer.from(path.subarray(at + 4, at + 10))
        .toString('hex')
        .replace(/(..)(?!$)/g, '$1:');
    at += length;
  }
  return { kind: kinds[best]?.[2], mac };
}
