// The secrets of the hosts of a run: read right before the host's disks are written, handed to nixos-anywhere for the phase that needs them, then
// forgotten. In memory only: a value is never an argument, never on a disk of this computer.
import { randomBytes } from 'node:crypto';
import { closeSync, constants, fchownSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Host, SecretSource } from '../machine/host.ts';
import type { RunFolder } from './folders.ts';
import { type Redactor, shortestMasked } from './redact.ts';
import { readSource, type SourceWorld, sourceName } from './secret-source.ts';

export interface SecretsWorld extends SourceWorld {
  /** What the operator typed: by `secretName`. */
  readonly prompted: ReadonlyMap<string, Buffer>;
  readonly redactor: Redactor;
  warn(host: string, text: string): void;
}

/** Keys of disks as open descriptors of files without a name. */
export interface OpenKeys {
  /** In the order of `paths`. */
  readonly descriptors: readonly number[];
  /** On the installer. */
  readonly paths: readonly string[];
  close(): void;
}

export interface Owner {
  readonly path: string;
  /** `UID:GID` */
  readonly owner: string;
}

type Use = 'disk key' | 'file';

/** `disk key /tmp/disk.key of machine1`: how the secret is called in questions, errors and masks. */
export function secretName(use: Use, path: string, host: string): string {
  return `${use} ${path} of ${host}`;
}

/** Every secret of a host, keys of disks first. */
export function secretsOf(host: Host): { use: Use; path: string; source: SecretSource; name: string }[] {
  const each = (use: Use) => (secret: { path: string; source: SecretSource }) => ({
    use,
    path: secret.path,
    source: secret.source,
    name: secretName(use, secret.path, host.name),
  });
  return [...(host.secrets?.diskKeys ?? []).map(each('disk key')), ...(host.secrets?.files ?? []).map(each('file'))];
}

/** Without the variables that are sources of secrets: they are nobody else's. */
export function withoutSecrets(
  env: Readonly<Record<string, string | undefined>>,
  hosts: readonly Host[],
): Readonly<Record<string, string | undefined>> {
  const names = new Set(hosts.flatMap(secretsOf).flatMap(({ source }) => (source.kind === 'env' ? [source.name] : [])));
  return Object.fromEntries(Object.entries(env).filter(([name]) => !names.has(name)));
}

export class Secrets {
  readonly #world: SecretsWorld;
  /** By `secretName`. */
  readonly #values = new Map<string, Buffer>();

  constructor(world: SecretsWorld) {
    this.#world = world;
    // Typed already, so it may be repeated by anything from now on.
    for (const [name, value] of world.prompted) world.redactor.add(name, value);
  }

  /** Reads all that the host needs, once. Rejects naming the first secret that can't be had. */
  async read(host: Host, signal?: AbortSignal): Promise<void> {
    for (const { use, source, name } of secretsOf(host)) {
      if (this.#values.has(name)) continue;
      const value = await this.#one(use, source, name, signal).catch((error: Error) => {
        throw new Error(`read ${name} (${sourceName(source)}): ${error.message}`);
      });
      if (!this.#world.redactor.add(name, value))
        this.#world.warn(
          host.name,
          `${name} is shorter than ${shortestMasked} bytes: it can't be masked where a program repeats it`,
        );
      this.#values.set(name, value);
    }
  }

  async #one(use: Use, source: SecretSource, name: string, signal?: AbortSignal): Promise<Buffer> {
    const read =
      source.kind === 'prompt' ? this.#world.prompted.get(name) : await readSource(source, this.#world, signal);
    if (read === undefined) throw new Error('it was not asked for at the start of this run');
    const value = use === 'disk key' && source.kind !== 'file' ? withoutLineEnd(read) : read;
    if (value.length === 0) throw new Error('it is empty');
    return value;
  }

  /** The host's values are not needed until they are read again. */
  forget(host: Host, use?: Use): void {
    for (const each of secretsOf(host))
      if (use === undefined || each.use === use) {
        // What was typed is a buffer of the caller's, and may be needed once more.
        if (each.source.kind !== 'prompt') this.#values.get(each.name)?.fill(0);
        this.#values.delete(each.name);
      }
  }

  /** Opens the keys of the host's disks for one child. `uid`: whom the child runs as, when it isn't us. */
  async openDiskKeys(host: Host, folder: RunFolder, uid?: number, signal?: AbortSignal): Promise<OpenKeys | undefined> {
    const keys = host.secrets?.diskKeys ?? [];
    if (keys.length === 0) return undefined;
    await this.read(host, signal);
    const descriptors: number[] = [];
    const close = () => {
      for (const each of descriptors.splice(0)) closeSync(each);
    };
    try {
      for (const { path } of keys) descriptors.push(nameless(folder, this.#value('disk key', path, host), uid));
    } catch (error) {
      close();
      throw error;
    }
    return { descriptors: [...descriptors], paths: keys.map(({ path }) => path), close };
  }

  /** Lays the host's files into the staging of `--extra-files`, in memory. Returns those that don't belong to root. */
  async stage(host: Host, top: string, folder: RunFolder, signal?: AbortSignal): Promise<readonly Owner[]> {
    const files = host.secrets?.files ?? [];
    if (files.length === 0) return [];
    inMemoryOnly(folder);
    await this.read(host, signal);
    for (const { path, mode } of files) {
      const file = join(top, path);
      await makeFolders(top, dirname(path));
      await writeFile(file, this.#value('file', path, host), { mode: 0o600, flag: 'wx' });
      await chmod(file, mode);
    }
    return files.filter(({ owner }) => owner !== '0:0').map(({ path, owner }) => ({ path, owner }));
  }

  #value(use: Use, path: string, host: Host): Buffer {
    const value = this.#values.get(secretName(use, path, host.name));
    if (value === undefined) throw new Error(`${secretName(use, path, host.name)} was not read`);
    return value;
  }
}

/** One `\n`, which programs and editors put at the end, would become part of the key. */
function withoutLineEnd(value: Buffer): Buffer {
  return value.at(-1) === 0x0a ? value.subarray(0, -1) : value;
}

function inMemoryOnly(folder: RunFolder): void {
  if (!folder.inMemory)
    throw new Error('hand over secrets: neither /dev/shm nor /run is in memory here, and they may not reach a disk');
}

/**
 * A descriptor of a file in memory that has no name any more. Its reader opens /dev/fd/N: for a pipe of Node that would fail (it is a socket), and
 * a true pipe could be read only once.
 */
function nameless(folder: RunFolder, value: Uint8Array, uid: number | undefined): number {
  inMemoryOnly(folder);
  const path = join(folder.keys, randomBytes(8).toString('hex'));
  const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  const descriptor = openSync(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    unlinkSync(path);
    if (uid !== undefined) fchownSync(descriptor, uid, -1);
    // At a position, so that the descriptor itself still stands at the beginning.
    for (let at = 0; at < value.length; ) at += writeSync(descriptor, value, at, value.length - at, at);
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
  return descriptor;
}

/** Modes that these folders have on every system: the staging's modes become those of the new system. */
const usualModes: Readonly<Record<string, number>> = {
  '/root': 0o700,
  '/tmp': 0o1777,
  '/var/tmp': 0o1777,
  '/var/lib/private': 0o700,
  '/var/cache/private': 0o700,
  '/var/log/private': 0o700,
};

/** Each missing folder on the way, readable by all as on any system; those that are there keep their modes. */
async function makeFolders(top: string, path: string): Promise<void> {
  if (path === '/') return;
  await makeFolders(top, dirname(path));
  const made = await mkdir(join(top, path), { recursive: true });
  if (made !== undefined) await chmod(join(top, path), usualModes[path] ?? 0o755);
}
