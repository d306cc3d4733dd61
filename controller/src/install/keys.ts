// Keys of an install: one SSH key per run, the host key that the installed system gets, the proof key that lets us ask it what it runs.
// ssh-keygen makes and reads them all: its private key format is its own.
import { chmod, copyFile, mkdtemp, readFile, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../child/program.ts';
import { makePrivate } from './folders.ts';

export interface KeyPair {
  /** Absolute path, 0600, no passphrase. */
  readonly privateFile: string;
  /** `ssh-ed25519 AAAA…`, without comment. */
  readonly publicKey: string;
}

/** Runs ssh-keygen with these arguments; resolves to its stdout, rejects with its last words. */
export type Keygen = (argv: readonly string[]) => Promise<string>;

const keygenLimitMs = 10_000;

/** ssh-keygen, looked for in `searchPath` (as PATH) unless `program` is absolute. */
export function keygen(searchPath: string, program = 'ssh-keygen'): Keygen {
  return async (argv) => {
    // SSH_ASKPASS would open a window for a passphrase.
    const env = { PATH: searchPath, LC_ALL: 'C' };
    const { status, stdout, stderr, timedOut } = await runProgram(program, argv, { deadlineMs: keygenLimitMs, env });
    if (status === 0) return stdout;
    throw new Error(
      timedOut
        ? `${program}: it did not end in ${keygenLimitMs / 1000} s`
        : stderr.trim().split('\n').at(-1) || `${program}: status ${status}`,
    );
  };
}

/** A new ed25519 pair in `folder`, named `name` and `name.pub`. */
export async function makeKey(folder: string, name: string, comment: string, run: Keygen): Promise<KeyPair> {
  const privateFile = join(folder, name);
  try {
    await run(['-q', '-t', 'ed25519', '-N', '', '-C', comment, '-f', privateFile]);
    return { privateFile, publicKey: onlyKey(await readFile(`${privateFile}.pub`, 'utf8')) };
  } catch (error) {
    throw new Error(`make key ${name}: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * The public half of a private key file. Throws when the file can't be read, is no key, is open to others, or has a passphrase: nobody is there to
 * type one.
 */
export async function readKey(privateFile: string, run: Keygen): Promise<KeyPair> {
  const found = await stat(privateFile).catch((error) => {
    throw new Error(`read key ${privateFile}: ${(error as Error).message}`, { cause: error });
  });
  if ((found.mode & 0o077) !== 0) {
    throw new Error(
      `read key ${privateFile}: its mode is ${(found.mode & 0o777).toString(8)}: ssh wants a key that only its owner can read (600)`,
    );
  }
  try {
    return { privateFile, publicKey: onlyKey(await run(['-y', '-P', '', '-f', privateFile])) };
  } catch (error) {
    const said = (error as Error).message;
    const why = /incorrect passphrase/i.test(said) ? 'it has a passphrase; load it into ssh-agent instead' : said;
    throw new Error(`read key ${privateFile}: ${why}`, { cause: error });
  }
}

/** `ssh-ed25519 AAAA… any comment` → type and key alone. */
export function onlyKey(line: string): string {
  const words = /^([a-z0-9@.-]+) ([A-Za-z0-9+/]+={0,2})(?:\s|$)/.exec(line.trim());
  if (words === null)
    throw new Error(`expected a public key line such as "ssh-ed25519 AAAA…", found "${line.trim().slice(0, 80)}"`);
  return `${words[1]} ${words[2]}`;
}

export interface InstalledHostKey extends KeyPair {
  /** `kept`: from an earlier run, so that a reinstalled machine stays known. */
  readonly origin: 'made' | 'kept' | 'declared';
}

/**
 * The host key that the installed system of `host` gets: the declared one, else the one of an earlier run, else a new one.
 * Kept at `STATE/hostkeys/HOST/ssh_host_ed25519_key`.
 */
export async function installedHostKey(
  stateFolder: string,
  host: string,
  run: Keygen,
  declared?: string,
): Promise<InstalledHostKey> {
  if (declared !== undefined) return { ...(await readKey(declared, run)), origin: 'declared' };
  return await keptKey(stateFolder, host, 'ssh_host_ed25519_key', host, run);
}

/** The host key that was placed on a host, or will be; undefined when there is none yet. Only looks. */
export async function placedHostKey(stateFolder: string, host: string): Promise<string | undefined> {
  if (!plainName(host)) return undefined;
  const file = join(stateFolder, 'hostkeys', host, 'ssh_host_ed25519_key.pub');
  try {
    return onlyKey(await readFile(file, 'utf8'));
  } catch {
    return undefined;
  }
}

/**
 * The key that may ask an installed system what it runs, and nothing else (see `proofLine`). Kept with the state, one for all hosts, so that a later
 * run can prove a machine again.
 */
export async function proofKey(stateFolder: string, run: Keygen): Promise<KeyPair> {
  await makePrivate(stateFolder);
  return await keep(join(stateFolder, 'proof'), 'id_ed25519', 'nixie-proof', run);
}

/** Host names come from the hosts file, whose grammar has no slash; a name of dots alone would still leave the folder. */
function plainName(host: string): boolean {
  return /^[A-Za-z0-9_.-]+$/.test(host) && !/^\.+$/.test(host);
}

async function keptKey(stateFolder: string, host: string, name: string, comment: string, run: Keygen) {
  if (!plainName(host)) throw new Error(`host key: expected a plain host name, found "${host}"`);
  await makePrivate(stateFolder);
  await makePrivate(join(stateFolder, 'hostkeys'));
  return await keep(join(stateFolder, 'hostkeys', host), name, comment, run);
}

/**
 * The pair in `folder`, made there in one step when it is not there yet: a crash in between leaves no half pair. A file that is no key is set
 * aside, not deleted, and a new pair made: nothing could be proved with it.
 */
async function keep(
  folder: string,
  name: string,
  comment: string,
  run: Keygen,
): Promise<KeyPair & { origin: 'made' | 'kept' }> {
  const file = join(folder, name);
  if (await stat(file).catch(() => undefined)) {
    try {
      await chmod(file, 0o600);
      return { ...(await readKey(file, run)), origin: 'kept' };
    } catch (error) {
      // Only when it is the file that is broken: where ssh-keygen itself can't run, the key may be whole.
      if (await readable(run)) await rename(file, `${file}.damaged`);
      else throw error;
    }
  }
  const fresh = await mkdtemp(`${folder}.new-`);
  try {
    const made = await makeKey(fresh, name, comment, run);
    await makePrivate(folder);
    await rename(`${made.privateFile}.pub`, `${file}.pub`);
    await rename(made.privateFile, file);
    return { privateFile: file, publicKey: made.publicKey, origin: 'made' };
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

/** Does ssh-keygen make and read keys here at all? */
async function readable(run: Keygen): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'nixie-key-'));
  try {
    const { privateFile } = await makeKey(folder, 'trial', 'trial', run);
    await readKey(privateFile, run);
    return true;
  } catch {
    return false;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A copy in a run's own folder: nixos-anywhere copies a key with its mode, so ours is 0600. */
export async function copyKey(from: KeyPair, folder: string, name: string): Promise<KeyPair> {
  const privateFile = join(folder, name);
  await copyFile(from.privateFile, privateFile);
  await chmod(privateFile, 0o600);
  return { privateFile, publicKey: from.publicKey };
}
