// From an installer's built outputs to what is served to a machine: kernel, initrd and command line, looked at before anything boots from it.
import { createHash } from 'node:crypto';
import { chunkBytesFor, writeManifest } from '@nixie/proto/fleet';
import type { System } from '../machine/host.ts';
import type { Installer, InstallerFile, InstallerImage, InstallerParts } from './types.ts';

/** Reads the store; an interface so that the rules can be tested without one. */
export interface StoreReader {
  /** The path with all links followed; rejects with code ENOENT when there is nothing. */
  realPath(path: string): Promise<string>;
  /** Where a link leads, as it is written there; undefined when the path is no link. */
  linkTarget(path: string): Promise<string | undefined>;
  /** Rejects when it isn't there. */
  stat(path: string): Promise<{ bytes: number; isFile: boolean }>;
  /** The first bytes of a file, at most `length`. */
  head(path: string, length: number): Promise<Uint8Array>;
  /** 64 hex digits */
  sha256(path: string): Promise<string>;
  /** The same of the whole and of each `chunkBytes` of it. */
  chunkHashes(path: string, chunkBytes: number): Promise<{ sha256: string; chunks: readonly string[] }>;
}

/** iPXE and boot protocols for x86 address an initrd with 32 bits signed. */
const maxInitrdBytes = 2 ** 31;
/** COMMAND_LINE_SIZE of x86 is 2,048 with the final NUL; the rest is for the words of one machine's boot. */
const maxCommandLineBytes = 2_047 - 400;

/** Rejects with an Error that names file and rule when the installer can't work. Hashes are kept by path in `hashes`. */
export async function readInstallerFiles(
  system: System,
  parts: InstallerParts,
  store: StoreReader,
  hashes: Map<string, string> = new Map(),
): Promise<Installer> {
  const warnings: string[] = [];
  let kernelPath: string;
  let initrdPath: string;
  let init: string;
  let params: string;
  let image: InstallerImage | undefined;
  if (parts.form === 'bundle') {
    const { out } = parts.bundle;
    kernelPath = `${out}/kernel`;
    initrdPath = `${out}/initrd`;
    init = await readInit(`${out}/init`, store);
    params = await readText(`${out}/kernel-params`, store);
    image = await readImage(`${out}/image`, store);
  } else {
    kernelPath = `${parts.kernel.out}/${parts.kernelFile}`;
    initrdPath = `${parts.ramdisk.out}/initrd`;
    init = `${parts.toplevel.out}/init`;
    params = await readText(`${parts.toplevel.out}/kernel-params`, store);
  }
  const [kernel, initrd] = [await look('kernel', kernelPath, store), await look('initrd', initrdPath, store)];
  if (initrd.bytes >= maxInitrdBytes) {
    throw new Error(
      `initrd ${initrd.path} has ${(initrd.bytes / 1e9).toFixed(2)} GB: iPXE cannot load 2 GiB or more; make the installer smaller (fewer packages, netboot.squashfsCompression)`,
    );
  }
  const isFor = kernelPlatform(await store.head(kernel.path, 0x210));
  if (isFor !== undefined && isFor !== system)
    throw new Error(`kernel ${kernel.path} is for ${isFor}, the installer is for ${system}`);

  const words = params.split(/\s+/).filter((word) => word !== '');
  const commandLine = [`init=${init}`, ...words];
  const bytes = Buffer.byteLength(commandLine.join(' '));
  if (bytes > maxCommandLineBytes) {
    throw new Error(
      `the installer's kernel command line has ${bytes} bytes: at most ${maxCommandLineBytes} leave room for Nixie's own words`,
    );
  }
  // An initrd of some kilobytes is no NixOS.
  if (initrd.bytes < 1_000_000) warnings.push(`initrd ${initrd.path} has only ${initrd.bytes} bytes`);
  const withHash = async (file: { path: string; bytes: number }): Promise<InstallerFile> => {
    const known = hashes.get(file.path);
    const sha256 = known ?? (await store.sha256(file.path));
    hashes.set(file.path, sha256);
    return { ...file, sha256 };
  };
  return {
    system,
    kernel: await withHash(kernel),
    initrd: await withHash(initrd),
    ...(image === undefined ? {} : { image: withFirst(image, words) }),
    commandLine,
    warnings,
  };
}

/** Undefined: the bundle has none, and its initrd is all of the installer. */
async function readImage(path: string, store: StoreReader): Promise<InstallerImage | undefined> {
  try {
    await store.realPath(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new Error(`image: cannot read ${path}: ${(error as Error).message}`);
  }
  const found = await look('image', path, store);
  const { sha256, chunks } = await store.chunkHashes(found.path, chunkBytesFor(found.bytes));
  const text = writeManifest({ sha256, bytes: found.bytes, chunks });
  return { file: { ...found, sha256 }, manifest: { text, sha256: createHash('sha256').update(text).digest('hex') } };
}

/** `nixie.first=SHA256,AT,BYTES`: a boot stage that is told wrong numbers would ask for ever. */
function withFirst(image: InstallerImage, words: readonly string[]): InstallerImage {
  const word = words.findLast((each) => each.startsWith('nixie.first='));
  if (word === undefined) return image;
  const [, at = '', bytes = ''] = /^nixie\.first=[0-9a-f]{64},(0|[1-9]\d{0,14}),([1-9]\d{0,14})$/.exec(word) ?? [];
  if (bytes === '' || Number(at) + Number(bytes) > image.file.bytes)
    throw new Error(
      `kernel-params: found ${word}: want nixie.first=SHA256,AT,BYTES of the image, which has ${image.file.bytes} bytes`,
    );
  return { ...image, first: { at: Number(at), bytes: Number(bytes) } };
}

/** The platform that a kernel file is made for, where its header tells: arch/x86/boot/header.S "HdrS", Documentation/arm64/booting "ARM\x64". */
export function kernelPlatform(head: Uint8Array): System | undefined {
  const at = (offset: number, text: string) =>
    Array.from(text).every((char, i) => head[offset + i] === char.charCodeAt(0));
  if (at(0x202, 'HdrS')) return 'x86_64-linux';
  if (at(0x38, 'ARMd')) return 'aarch64-linux';
  return undefined;
}

async function look(what: string, path: string, store: StoreReader): Promise<{ path: string; bytes: number }> {
  let real: string;
  let facts: { bytes: number; isFile: boolean };
  try {
    real = await store.realPath(path);
    facts = await store.stat(real);
  } catch (error) {
    throw new Error(`${what}: cannot read ${path}: ${(error as Error).message}`);
  }
  if (!facts.isFile) throw new Error(`${what}: ${path} is not a file`);
  if (facts.bytes === 0) throw new Error(`${what}: ${path} is empty`);
  return { path: real, bytes: facts.bytes };
}

/** A bundle's `init` is a link to the system's init, or a file with its path. Only one link is followed: stage 1 finds the system by it. */
async function readInit(path: string, store: StoreReader): Promise<string> {
  const target = (await store.linkTarget(path)) ?? (await readText(path, store)).trim();
  if (/^\/\S+$/.test(target)) return target;
  throw new Error(`init: ${path} is neither a link to a system's init nor holds its path`);
}

async function readText(path: string, store: StoreReader): Promise<string> {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await store.head(path, 16_384));
  } catch (error) {
    throw new Error(`cannot read ${path}: ${(error as Error).message}`);
  }
}
