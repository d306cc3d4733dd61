// Reads the value of one secret where the hosts file says. What fails is told without the value, and without what a program said: that may hold it.
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { watchChild } from '../child/child.ts';
import type { Identity } from '../child/identity.ts';
import type { SecretSource } from '../machine/host.ts';

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

async function printed(argv: readonly string[], world: SourceWorld, signal?: AbortSignal): Promise<Buffer> {
  const [program = '', ...args] = argv;
  const limitMs = world.limitMs ?? commandLimitMs;
  const chunks: Buffer[] = [];
  let length = 0;
  const child = watchChild<'too-much'>(
    {
      program,
      argv: args,
      cwd: world.folder,
      env: commandEnvironment(world),
      outputs: 'first',
      ...(world.as === undefined ? {} : { as: world.as }),
    },
    {
      deadlineMs: limitMs,
      signal,
      graceMs: 0,
      lingerMs: 0,
      onOutput(chunk) {
        length += chunk.length;
        if (length > largestSecretBytes) child.stop('too-much');
        else chunks.push(chunk);
      },
    },
  );
  const end = await child.ended;
  if (end.kind === 'not-started') {
    const known: Record<string, string> = {
      ENOENT: 'there is no such program',
      EACCES: `${world.as?.name ?? 'this user'} may not run it`,
    };
    throw new Error(`start ${program}: ${known[end.error.code ?? ''] ?? end.error.code}`);
  }
  // What came after its exit counts, too.
  const why = length > largestSecretBytes ? 'too-much' : end.why;
  const stopped = {
    deadline: `it did not end in ${limitMs / 1000} s`,
    aborted: 'called off',
    'too-much': `it printed more than ${largestSecretBytes} bytes`,
  } as const;
  if (why !== undefined) throw new Error(`${program}: ${stopped[why]}`);
  if (end.status === 0) return Buffer.concat(chunks);
  const how = end.status === null ? end.signal : `status ${end.status}`;
  throw new Error(`${program}: it ended with ${how}; run it by hand to see why`);
}
