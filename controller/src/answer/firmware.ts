// What kind of client sent a DHCP message. The order of the questions matters: iPXE also calls itself a PXE client, and an installed system
// says nothing of the kind.
import {
  code,
  ipxeFeature,
  readArchitectures,
  readIpxeFeatures,
  readText,
  readUserClasses,
} from '../wire/dhcp4/options.ts';
import { type DhcpPacket, noOctets, option } from '../wire/dhcp4/packet.ts';

/** Firmware kinds that we have loaders for. */
export type Platform = 'bios' | 'x64' | 'arm64';

export type ClientKind =
  | 'http' // UEFI HTTP Boot
  | 'ipxe' // iPXE that can run our script
  | 'small-ipxe' // iPXE without HTTP, or that can't start a kernel: needs ours first
  | 'pxe' // firmware's own PXE
  | 'agent' // our installer's DHCP client
  | 'system' // another DHCP client that says what it is
  | 'plain'; // says nothing

export interface Client {
  readonly kind: ClientKind;
  /** Absent: none named, or none that we have loaders for. */
  readonly platform?: Platform;
  /** Number of the IANA registry of processor architecture types. Absent: none named. */
  readonly architecture?: number;
}

/** User class of an iPXE that was built for Nixie. */
export const ownUserClass = 'nixie';

const platforms: Readonly<Record<number, Platform>> = {
  0: 'bios',
  7: 'x64',
  9: 'x64', // RFC 4578 gave 7 to EBC and 9 to x64; firmware sends both
  11: 'arm64',
  16: 'x64',
  19: 'arm64',
};

/** The first of option 93 that we know, else its first; then the number inside option 60 (`PXEClient:Arch:00007:UNDI:003016`). */
function architectureOf(packet: DhcpPacket, vendorClass: string): number | undefined {
  const listed = readArchitectures(option(packet, code.architecture) ?? noOctets);
  const known = listed?.find((type) => platforms[type] !== undefined) ?? listed?.[0];
  if (known !== undefined) return known;
  const named = /^[A-Z]{3,4}Client:Arch:([0-9]{5})(?::|$)/i.exec(vendorClass)?.[1];
  return named === undefined ? undefined : Number(named);
}

function canRunScript(packet: DhcpPacket): boolean {
  const encapsulated = option(packet, code.ipxe);
  if (encapsulated === undefined) return true; // nothing said: assume a complete one
  const features = readIpxeFeatures(encapsulated);
  return features.has(ipxeFeature.http) && (features.has(ipxeFeature.bzImage) || features.has(ipxeFeature.efi));
}

function kindOf(packet: DhcpPacket, vendorClass: string): ClientKind {
  if (vendorClass.startsWith('HTTPClient')) return 'http';
  const userClasses = readUserClasses(option(packet, code.userClass) ?? noOctets);
  if (userClasses.includes(ownUserClass)) return 'ipxe';
  if (userClasses.includes('iPXE') || option(packet, code.ipxe) !== undefined) {
    return canRunScript(packet) ? 'ipxe' : 'small-ipxe';
  }
  if (vendorClass.startsWith('PXEClient')) return 'pxe';
  if (vendorClass.startsWith('nixie-agent')) return 'agent';
  return vendorClass === '' ? 'plain' : 'system';
}

export function classify(packet: DhcpPacket): Client {
  const vendorClass = readText(option(packet, code.vendorClass) ?? noOctets);
  const architecture = architectureOf(packet, vendorClass);
  const platform = architecture === undefined ? undefined : platforms[architecture];
  return {
    kind: kindOf(packet, vendorClass),
    ...(platform === undefined ? {} : { platform }),
    ...(architecture === undefined ? {} : { architecture }),
  };
}

/** Does it want something to boot, rather than only an address? */
export function wantsBoot(client: Client): boolean {
  return client.kind === 'http' || client.kind === 'ipxe' || client.kind === 'small-ipxe' || client.kind === 'pxe';
}
