// Finds the network boot loaders of this machine: iPXE for each kind of firmware.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Loaders } from '../answer/scene.ts';
import { LoaderMissing } from './errors.ts';

export type FirmwareKind = keyof Loaders;

export interface FoundLoaders {
  readonly loaders: Loaders;
  /** Contents by the names in `loaders`. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Where each was found. */
  readonly paths: Readonly<Partial<Record<FirmwareKind, string>>>;
}

/** Names of the file in the distributions, best first. snponly uses the firmware's own network driver; ipxe's own drivers hang more often. */
const spellings: Readonly<Record<FirmwareKind, readonly string[]>> = {
  bios: ['undionly.kpxe', 'undionly.kkpxe', 'ipxe-undionly.kpxe'],
  x64: [
    'snponly.efi',
    'x86_64-efi/snponly.efi',
    'ipxe-snponly-x86_64.efi',
    'ipxe.efi',
    'x86_64-efi/ipxe.efi',
    'ipxe-x86_64.efi',
  ],
  arm64: [
    'snponly-arm64.efi',
    'arm64-efi/snponly.efi',
    'ipxe-snponly-arm64.efi',
    'arm64-efi/ipxe.efi',
    'ipxe-arm64.efi',
  ],
};

/** Under these names they are served, wherever they come from. */
const servedAs: Readonly<Record<FirmwareKind, string>> = {
  bios: 'undionly.kpxe',
  x64: 'snponly.efi',
  arm64: 'snponly-arm64.efi',
};

const platformFolders = [
  '/usr/lib/ipxe', // Debian, Ubuntu
  '/usr/share/ipxe', // Fedora, Arch
  '/run/current-system/sw', // NixOS: the package `ipxe` has them at its top
  '/run/current-system/sw/share/ipxe',
];

/** Machine of the PE header: PE/COFF specification 2.3.1. */
const peMachines: Readonly<Record<number, FirmwareKind>> = { 34404: 'x64', 43620: 'arm64' };

/** Why a file can't be the loader of this kind; undefined when it can. */
export function loaderFault(kind: FirmwareKind, bytes: Uint8Array): string | undefined {
  if (bytes.length === 0) return 'it is empty';
  if (kind === 'bios') return undefined; // raw code, nothing to recognise it by
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const header = bytes.length >= 64 && view.getUint16(0) === 0x4d5a ? view.getUint32(60, true) : bytes.length;
  if (header + 6 > bytes.length || view.getUint32(header) !== 0x50450000) return 'it is no EFI program';
  const machine = view.getUint16(header + 4, true);
  return peMachines[machine] === kind
    ? undefined
    : `it is made for machine type 0x${machine.toString(16)}, not for ${kind}`;
}

function readOrNothing(path: string): Uint8Array | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}

/**
 * Loads the loaders into memory. `needed` must be there; others are taken along when they are.
 * @param folder `--ipxe DIR`; only this folder is looked into then
 * @throws LoaderMissing also for files that can't be what they are called
 */
export function findLoaders(
  needed: readonly FirmwareKind[],
  folder?: string,
  read: (path: string) => Uint8Array | undefined = readOrNothing,
): FoundLoaders {
  const folders = folder === undefined ? platformFolders : [folder];
  const loaders: { -readonly [kind in FirmwareKind]?: string } = {};
  const paths: Partial<Record<FirmwareKind, string>> = {};
  const files = new Map<string, Uint8Array>();
  for (const kind of Object.keys(spellings) as FirmwareKind[]) {
    const faults: string[] = [];
    for (const path of folders.flatMap((where) => spellings[kind].map((name) => join(where, name)))) {
      const bytes = read(path);
      if (!bytes) continue;
      const fault = loaderFault(kind, bytes);
      if (fault !== undefined) {
        faults.push(`${path}: ${fault}`);
        continue;
      }
      loaders[kind] = servedAs[kind];
      paths[kind] = path;
      files.set(servedAs[kind], bytes);
      break;
    }
    if (loaders[kind] !== undefined || !needed.includes(kind)) continue;
    const found = faults.length > 0 ? `found ${faults.join('; ')}` : `looked in ${folders.join(', ')}`;
    const advice = folder === undefined ? 'install the package ipxe, or name a folder with --ipxe' : 'put it there';
    throw new LoaderMissing(
      servedAs[kind],
      'ipxe',
      `boot loader ${spellings[kind][0]} for ${kind} machines is missing: ${found}; ${advice}`,
    );
  }
  return { loaders, files, paths };
}
