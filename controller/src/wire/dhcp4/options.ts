// Values of single options, one pair of functions for each shape. Readers return undefined for what isn't of the shape and never throw.
import { readAddress, writeAddress } from './address.ts';
import { latin1, latin1Bytes } from './packet.ts';

/** Option codes that are named in code: RFC 2132 unless noted. */
export const code = {
  subnetMask: 1,
  router: 3,
  dns: 6,
  hostName: 12,
  broadcast: 28,
  vendor: 43,
  requestedAddress: 50,
  leaseSeconds: 51,
  overload: 52,
  messageType: 53,
  server: 54,
  parameters: 55,
  message: 56,
  maximumSize: 57,
  renewal: 58,
  rebinding: 59,
  vendorClass: 60,
  clientId: 61,
  tftpServer: 66,
  bootFile: 67,
  userClass: 77, // RFC 3004
  relay: 82, // RFC 3046
  architecture: 93, // RFC 4578
  undi: 94, // RFC 4578
  uuid: 97, // RFC 4578
  ipxe: 175, // not registered: iPXE's encapsulated options
} as const;

/** RFC 2132 9.6, by number. */
export const messageTypes = [
  undefined,
  'DISCOVER',
  'OFFER',
  'REQUEST',
  'DECLINE',
  'ACK',
  'NAK',
  'RELEASE',
  'INFORM',
] as const;
export type MessageType = NonNullable<(typeof messageTypes)[number]>;

export function readMessageType(value: Uint8Array): MessageType | undefined {
  return value.length === 1 ? messageTypes[value[0]!] : undefined;
}

export function messageTypeBytes(type: MessageType): Uint8Array {
  return Uint8Array.of(messageTypes.indexOf(type));
}

/** One or more whole addresses. */
export function readAddresses(value: Uint8Array): string[] | undefined {
  if (value.length === 0 || value.length % 4 !== 0) return undefined;
  const addresses: string[] = [];
  for (let at = 0; at < value.length; at += 4) addresses.push(readAddress(value, at));
  return addresses;
}

export function addressesBytes(addresses: readonly string[]): Uint8Array {
  const bytes = new Uint8Array(4 * addresses.length);
  for (let index = 0; index < addresses.length; index++) writeAddress(addresses[index]!, bytes, 4 * index);
  return bytes;
}

/** Big-endian, 1, 2 or 4 octets. */
export function readInteger(value: Uint8Array): number | undefined {
  if (value.length !== 1 && value.length !== 2 && value.length !== 4) return undefined;
  return value.reduce((sum, octet) => sum * 256 + octet, 0);
}

export function integerBytes(value: number, octets: 1 | 2 | 4): Uint8Array {
  const bytes = new Uint8Array(octets);
  for (let index = 0; index < octets; index++) bytes[index] = value >>> (8 * (octets - 1 - index));
  return bytes;
}

/** Text without the NULs or 0xff octets that some servers and firmware append to options 66 and 67. */
export function readText(value: Uint8Array): string {
  let end = value.length;
  while (end > 0 && (value[end - 1] === 0 || value[end - 1] === 0xff)) end -= 1;
  return latin1(value.subarray(0, end));
}

/** With the NUL that ROMs reading option 67 as a C string need. */
export function terminatedText(text: string): Uint8Array {
  return latin1Bytes(`${text}\0`);
}

/** RFC 4578 2.1: 16-bit numbers; undefined unless there is at least one whole one. */
export function readArchitectures(value: Uint8Array): number[] | undefined {
  if (value.length === 0 || value.length % 2 !== 0) return undefined;
  const types: number[] = [];
  for (let at = 0; at < value.length; at += 2) types.push(value[at]! * 256 + value[at + 1]!);
  return types;
}

/** Processor architecture types of the IANA registry (RFC 4578, RFC 5970). */
export const architectureNames: Readonly<Record<number, string>> = {
  0: 'x86-bios',
  1: 'nec-pc98',
  2: 'itanium',
  3: 'dec-alpha',
  4: 'arc-x86',
  5: 'intel-lean-client',
  6: 'x86-efi',
  7: 'x64-efi',
  8: 'xscale-efi',
  9: 'ebc-efi',
  10: 'arm32-efi',
  11: 'arm64-efi',
  15: 'x86-efi-http',
  16: 'x64-efi-http',
  17: 'ebc-efi-http',
  18: 'arm32-efi-http',
  19: 'arm64-efi-http',
  20: 'x86-bios-http',
  21: 'arm32-uboot',
  22: 'arm64-uboot',
  23: 'arm32-uboot-http',
  24: 'arm64-uboot-http',
  25: 'riscv32-efi',
  26: 'riscv32-efi-http',
  27: 'riscv64-efi',
  28: 'riscv64-efi-http',
  41: 'rpi-boot',
};

/** Octets of SMBIOS order to text order: the first three fields are little-endian on the wire. */
const uuidOrder = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

/**
 * Canonical text of option 97 (RFC 4578 2.3), as `product_uuid` shows it. 17 octets beginning with 0, or 16 without the type octet.
 * Undefined for other lengths and for all-zero and all-one values, which mean that no UUID is set.
 */
export function readUuid(value: Uint8Array): string | undefined {
  const raw = value.length === 17 && value[0] === 0 ? value.subarray(1) : value;
  if (raw.length !== 16 || raw.every((octet) => octet === 0) || raw.every((octet) => octet === 255)) return undefined;
  const hex = uuidOrder.map((index) => raw[index]!.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** The reverse of readUuid: 17 octets, or undefined when the text is no UUID. */
export function uuidBytes(text: string): Uint8Array | undefined {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text)) return undefined;
  const hex = text.replaceAll('-', '');
  const bytes = new Uint8Array(17);
  uuidOrder.forEach((wire, index) => {
    bytes[1 + wire] = Number.parseInt(hex.slice(index * 2, index * 2 + 2), 16);
  });
  return bytes;
}

/** User classes: RFC 3004 length-prefixed ones, or the bare text that iPXE sends. Each is text of at least one octet. */
export function readUserClasses(value: Uint8Array): string[] {
  const classes: string[] = [];
  let at = 0;
  while (at < value.length) {
    const length = value[at]!;
    if (length === 0 || at + 1 + length > value.length) return value.length === 0 ? [] : [readText(value)];
    classes.push(latin1(value.subarray(at + 1, at + 1 + length)));
    at += 1 + length;
  }
  return classes;
}

/** Sub-options [code, value] of options 43, 82 and 175; stops at the first that doesn't fit. 255 ends only the list of option 43. */
export function readSubOptions(value: Uint8Array, endsWith255 = false): [number, Uint8Array][] {
  const entries: [number, Uint8Array][] = [];
  let at = 0;
  while (at < value.length) {
    const sub = value[at]!;
    if (endsWith255 && sub === 255) break;
    if (endsWith255 && sub === 0) {
      at += 1;
      continue;
    }
    if (at + 1 >= value.length || at + 2 + value[at + 1]! > value.length) break;
    entries.push([sub, value.slice(at + 2, at + 2 + value[at + 1]!)]);
    at += 2 + value[at + 1]!;
  }
  return entries;
}

export function subOptionsBytes(entries: readonly (readonly [number, Uint8Array])[]): Uint8Array {
  return Uint8Array.from(entries.flatMap(([sub, value]) => [sub, value.length, ...value]));
}

/** Sub-options of relay agent information that matter to a server. */
export const relaySub = {
  circuit: 1, // RFC 3046
  remote: 2, // RFC 3046
  linkSelection: 5, // RFC 3527
  serverOverride: 11, // RFC 5107
} as const;

/** Feature flags of option 175 (iPXE src/include/ipxe/features.h). */
export const ipxeFeature = {
  pxe: 16,
  iscsi: 17,
  aoe: 18,
  http: 19,
  https: 20,
  tftp: 21,
  ftp: 22,
  dns: 23,
  bzImage: 24,
  multiboot: 25,
  slam: 26,
  srp: 27,
  nbi: 32,
  pxeImage: 33,
  elf: 34,
  comboot: 35,
  efi: 36,
  fcoe: 37,
  vlan: 38,
  menu: 39,
  sdi: 40,
  nfs: 41,
} as const;

/** Feature numbers that an iPXE says it has (value 1). */
export function readIpxeFeatures(value: Uint8Array): Set<number> {
  return new Set(
    readSubOptions(value)
      .filter(([sub, flag]) => sub < 128 && flag.length === 1 && flag[0] === 1)
      .map(([sub]) => sub),
  );
}

/**
 * Option 175 with sub-option 1 = 127, the highest priority (a signed byte; iPXE src/include/ipxe/dhcp.h, DHCP_EB_PRIORITY): of several offers iPXE takes
 * the one that ranks highest, and of equals the last.
 */
export const ipxeHighestPriority: Uint8Array = Uint8Array.of(1, 1, 127);

/** Option 175 with sub-option 176 = 1: iPXE doesn't wait for a ProxyDHCP server. */
export const ipxeNoProxyWait = Uint8Array.of(176, 1, 1);

/** Option 43 for BIOS ROMs: PXE discovery control 8 = take the boot file of this reply, discover nothing (PXE 2.1, tag 6). */
export const pxeTakeBootFile = Uint8Array.of(6, 1, 8, 255);
