// Reads the value of one secret where the hosts file says. What fails is told without the value, and without what a program said: that may hold it.
import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { SecretSource } from '../machine/host.ts';
import type { Identity } from '../nix/command.ts';
import { addGroup, removeGroup, signalGroup } from './groups.ts';

export const largestSecretBytes = 1024 * 1024;
export const commandLimitMs = 60_000;

export interface SourceWorld {
  /** Of the hosts file: relative paths are meant from here, and commands run here. */
  readonly folder: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Commands run as this user; absent: as ourselves. */
  readonly as?: Identity;
  /** Absent: `commandLimitMs`. */
  readonly limitMs?: number;
}

/** `file:…` and so on, for messages; of a command only the program: its arguments are nobody's business. */
export function sourceName(source: SecretSource): string {
  switch (source.kind) {
    case 'file':
      return `file:${source.path}`;
    case 'command':
      return `command:${source.argv[0]}${source.argv.length > 1 ? ' …' : ''}`;
    case 'env':
      return `env:${source.name}`;
    case 'prompt':
      return 'prompt';
  }
}

/** Rejects with a sentence about the source. `prompt` was read before the run and is not among them. */
export async function readSource(
  source: Exclude<SecretSource, { kind: 'prompt' }>,
  world: SourceWorld,
  signal?: AbortSignal,
): Promise<Buffer> {
  switch (source.kind) {
    case 'file':
      return await readFile(resolve(world.folder, source.path));
    case 'env': {
      const value = world.env[source.name];
      if (value === undefined)
        throw new Error(
          `the variable ${source.name} is not set (sudo keeps few: sudo -E, or sudo ${source.name}=… nixie)`,
        );
      return Buffer.from(value);
    }
    case 'command':
      return await printed(source.argv, world, signal);
  }
}

async function readFile(path: string): Promise<Buffer> {
  // Opening a pipe without a writer would wait for ever.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: NodeJS.ErrnoException) => {
    const known: Record<string, string> = { ENOENT: 'there is no such file', EACCES: 'this user may not read it' };
    throw new Error(`${path}: ${known[error.code ?? ''] ?? error.code}`);
  });
  try {
    const facts = await file.stat();
    if (!facts.isFile()) throw new Error(`${path}: expected a file`);
    if (facts.size > largestSecretBytes)
      throw new Error(`${path}: ${facts.size} bytes, expected at most ${largestSecretBytes}`);
    const buffer = Buffer.alloc(largestSecretBytes + 1);
    let length = 0;
    for (;;) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length, length);
      length += bytesRead;
      if (bytesRead === 0) break;
      if (length > largestSecretBytes) throw new Error(`${path}: more than ${largestSecretBytes} bytes`);
    }
    return Buffer.from(buffer.subarray(0, length));
  } finally {
    await file.close();
  }
}

/** What programs that keep secrets look at; all else stays out. `command:env NAME=VALUE program` adds to it. */
const kept =
  /^(?:PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_.*|TZ|TMPDIR|XDG_.*|SSH_AUTH_SOCK|GNUPGHOME|GPG_TTY|DBUS_SESSION_BUS_ADDRESS|PASSWORD_STORE_.*|SOPS_.*|VAULT_.*|BAO_.*|OP_.*|BW_.*|SSL_CERT_FILE|SSL_CERT_DIR|(?:https?|no|all)_proxy|(?:HTTPS?|NO|ALL)_PROXY)$/;

function commandEnvironment(world: SourceWorld): Record<string, string> {
  const made: Record<string, string> = {};
  for (const [name, value] of Object.entries(world.env)) if (value !== undefined && kept.test(name)) made[name] = value;
  if (world.as !== undefined) {
    for (const name of Object.keys(made)) if (/^XDG_|^TMPDIR$/.test(name)) delete made[name];
    Object.assign(made, { HOME: world.as.home, USER: world.as.name, LOGNAME: world.as.name });
    // Where that user's agents listen.
    made.XDG_RUNTIME_DIR = `/run/user/${world.as.uid}`;
  }
  return made;
}

function printed(argv: readonly string[], world: SourceWorld, signal?: AbortSignal): Promise<Buffer> {
  const [program = '', ...args] = argv;
  const limitMs = world.limitMs ?? commandLimitMs;
  return new Promise((done, fail) => {
    if (signal?.aborted) return fail(new Error('called off'));
    const child = spawn(program, args, {
      cwd: world.folder,
      env: commandEnvironment(world),
      detached: true,
      stdio: ['ignore', 'pipe', 'ignore'],
      ...(world.as === undefined ? {} : { uid: world.as.uid, gid: world.as.gid }),
    });
    const { pid } = child;
    if (pid !== undefined) addGroup(pid);
    const chunks: Buffer[] = [];
    let length = 0;
    let why: string | undefined;
    const end = (reason: string) => {
      why ??= reason;
      if (pid !== undefined) signalGroup(pid, 'SIGKILL');
    };
    const timer = setTimeout(() => end(`it did not end in ${limitMs / 1000} s`), limitMs);
    const callOff = () => end('called off');
    signal?.addEventListener('abort', callOff, { once: true });
    const leave = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', callOff);
      if (pid !== undefined) removeGroup(pid);
    };
    child.stdout.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length > largestSecretBytes) end(`it printed more than ${largestSecretBytes} bytes`);
      else chunks.push(chunk);
    });
    child.on('error', (error: NodeJS.ErrnoException) => {
      if (pid !== undefined) return;
      leave();
      const known: Record<string, string> = {
        ENOENT: 'there is no such program',
        EACCES: `${world.as?.name ?? 'this user'} may not run it`,
      };
      fail(new Error(`start ${program}: ${known[error.code ?? ''] ?? error.code}`));
    });
    child.on('exit', () => {
      // A grandchild may hold the output.
      if (pid !== undefined) signalGroup(pid, 'SIGKILL');
    });
    child.on('close', (status, by) => {
      leave();
      if (why !== undefined) fail(new Error(`${program}: ${why}`));
      else if (status !== 0)
        fail(
          new Error(
            `${program}: it ended with ${status === null ? by : `status ${status}`}; run it by hand to see why`,
          ),
        );
      else done(Buffer.concat(chunks));
    });
  });
}
