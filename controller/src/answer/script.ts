// The iPXE script of a machine: what it boots, in the words of its firmware's loader.
import type { Mac } from '../machine/mac.ts';
import { kernelWord, screenText, urlWord } from '../wire/ipxe/words.ts';

/** What the installer image is made of, by content address. */
export interface InstallerFiles {
  /** 64 hexadecimal digits */
  readonly kernelSha256: string;
  readonly initrdSha256: string;
  /** Of the manifest of the image that the boot stage fetches; absent: the initrd is all of the installer. */
  readonly imageManifestSha256?: string;
  /** Words of the kernel command line that the image asks for, `init=…` among them. */
  readonly kernelParams: readonly string[];
  /** Memory that the kernel, the initrd and what it unpacks to need at least. */
  readonly needsBytes: number;
}

/** This boot of this machine. */
export interface InstallerBoot {
  readonly machine: string;
  readonly mac: Mac;
  /** Address of ours that faces this client. */
  readonly address: string;
  readonly httpPort: number;
  readonly grpcPort: number;
  /** SHA-256 of our certificate, 64 hexadecimal digits. */
  readonly fingerprint: string;
  /** Good for one registration of this MAC, 32 hexadecimal digits. */
  readonly token: string;
  /** The machine's own words for the kernel. */
  readonly boot: readonly string[];
}

/** COMMAND_LINE_SIZE of x86 is 2048 with the final NUL; arm64 takes as many. */
export const maxCommandLineBytes = 2047;
const tries = 10;
const pauseSeconds = 5;
/** iPXE names interfaces in the order in which it finds them. */
const interfacesTried = 8;

/** The command line is too long to reach the kernel whole. */
export class CommandLineTooLong extends Error {
  readonly bytes: number;
  constructor(machine: string, bytes: number) {
    super(
      `kernel command line of ${machine}: ${bytes} bytes, accepted are ${maxCommandLineBytes}; shorten kernel parameters or boot words`,
    );
    this.name = 'CommandLineTooLong';
    this.bytes = bytes;
  }
}

/** iPXE's own expansion of a setting. */
function setting(name: string): string {
  return `\${${name}}`;
}

function digits(text: string, length: number, what: string): string {
  if (!new RegExp(`^[0-9a-f]{${length}}$`).test(text)) throw new Error(`${what}: not ${length} hexadecimal digits`);
  return text;
}

/** The words of the kernel command line; the MAC of the booted interface is filled in by iPXE. */
function commandLine(files: InstallerFiles, boot: InstallerBoot): string {
  const line = [
    'initrd=initrd', // EFI stubs load the file of that name; without it they start without one
    ...files.kernelParams.map((word) => kernelWord(word, 'kernel parameter of the installer')),
    ...boot.boot.map((word) => kernelWord(word, `boot word of ${boot.machine}`)),
    kernelWord(`nixie.controller=${boot.address}:${boot.grpcPort}`, 'address of the controller'),
    `nixie.fingerprint=${digits(boot.fingerprint, 64, 'fingerprint')}`,
    `nixie.token=${digits(boot.token, 32, 'token')}`,
    `nixie.mac=${boot.mac}`,
    ...(files.imageManifestSha256 === undefined
      ? []
      : [`nixie.image=${digits(files.imageManifestSha256, 64, 'hash of the manifest of the image')}`]),
    `BOOTIF=01-${setting('netX/mac:hexhyp')}`,
  ].join(' ');
  const bytes = line.replace(setting('netX/mac:hexhyp'), 'aa-bb-cc-dd-ee-ff').length;
  if (bytes > maxCommandLineBytes) throw new CommandLineTooLong(boot.machine, bytes);
  return line;
}

/**
 * Refuses with a clear text when the machine has too little memory. The platforms' iPXE has no setting for the size of the memory, but reads
 * SMBIOS: the high octet of a memory device's size (type 17, offset 12, little-endian MiB) counts 256 MiB. iPXE compares for equality only,
 * so it counts up to the need and looks whether it meets the size on its way. Unknown sizes, which have the octet ff, and machines without
 * SMBIOS go on.
 */
function memoryCheck(needsBytes: number): string[] {
  const needMiB = Math.ceil(needsBytes / (1 << 20));
  const needUnits = Math.floor(needMiB / 256);
  const size = setting(`smbios/${setting('slot')}.17.13.1:uint8`);
  return [
    'set units:int32 0',
    'set slot:int32 0',
    ':slots',
    `isset ${size} || goto sum`,
    `inc units ${size}`,
    'inc slot',
    `iseq ${setting('slot')} 64 || goto slots`,
    ':sum',
    `iseq ${setting('units')} 0 && goto enough ||`,
    'set some:int32 0',
    'set mib:int32 0',
    ':count',
    `iseq ${setting('some')} ${needUnits} && goto enough ||`,
    `iseq ${setting('some')} ${setting('units')} && goto small ||`,
    'inc some',
    'inc mib 256',
    'goto count',
    ':small',
    `echo Nixie: this machine has ${setting('mib')} MiB of memory, the installer needs ${needMiB} MiB`,
    'sleep 30',
    'exit 1',
    ':enough',
  ];
}

/**
 * Kernel and initrd of the installer, tried ten times over all interfaces; then the firmware goes on with its next boot entry.
 * @throws WordRefused, CommandLineTooLong: call it once at start with any token, so that nobody learns of it at a machine
 */
export function installerScript(files: InstallerFiles, boot: InstallerBoot): string {
  const server = `http://${boot.address}:${boot.httpPort}/f`;
  const kernel = urlWord(`${server}/${digits(files.kernelSha256, 64, 'hash of the kernel')}/kernel`, 'kernel');
  const initrd = urlWord(`${server}/${digits(files.initrdSha256, 64, 'hash of the initrd')}/initrd`, 'initrd');
  const lines = [
    '#!ipxe',
    `echo Nixie: ${screenText(boot.machine)} boots the installer`,
    ...memoryCheck(files.needsBytes),
    'set tries:int32 0',
    ':again',
    'imgfree',
    `kernel --name kernel ${kernel} ${commandLine(files, boot)} || goto failed`,
    `initrd --name initrd ${initrd} || goto failed`,
    'boot || goto failed',
    ':failed',
    'inc tries',
    `echo Nixie: try ${setting('tries')} failed`,
    `iseq ${setting('tries')} ${tries} && goto over ||`,
    `sleep ${pauseSeconds}`,
  ];
  // A link that dropped or an address that ran out: configure whichever interface answers.
  for (let index = 0; index < interfacesTried; index++) {
    lines.push(
      `isset ${setting(`net${index}/mac`)} || goto again`,
      `ifconf --configurator dhcp net${index} && goto again ||`,
    );
  }
  lines.push('goto again', ':over', 'echo Nixie: giving up; the firmware goes on', 'exit 1', '');
  return lines.join('\n');
}

/** Hands a machine over to its own disk. It asks iPXE for the platform, as firmware settings may have changed since the last packet. */
export function localScript(machine: string): string {
  return [
    '#!ipxe',
    `echo Nixie: ${screenText(machine)} boots from its own disk`,
    `iseq ${setting('platform')} efi && goto firmware ||`,
    'sanboot --no-describe --drive 0x80 || exit',
    ':firmware',
    // With a plain exit UEFI takes the network boot for a success and stops in its menu.
    'exit 1',
    '',
  ].join('\n');
}

/** Says why there is nothing to boot, and lets the firmware go on. */
export function refusalScript(reason: string): string {
  return ['#!ipxe', `echo Nixie: ${screenText(reason)}`, 'sleep 5', 'exit 1', ''].join('\n');
}

/** Has iPXE ask again a little later. @param why a clause about the machine */
export function waitScript(
  machine: string,
  at: { address: string; httpPort: number; mac: Mac },
  why = 'is being installed already',
): string {
  const url = urlWord(`http://${at.address}:${at.httpPort}/boot/${at.mac.replaceAll(':', '-')}.ipxe`, 'script');
  return [
    '#!ipxe',
    `echo Nixie: ${screenText(`${machine} ${why}`)}; asking again in 15 seconds`,
    'sleep 15',
    `chain --replace ${url} || exit 1`,
    '',
  ].join('\n');
}
