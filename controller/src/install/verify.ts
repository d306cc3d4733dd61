// Proof: the machine at an address has the host key that we placed, and says itself which system it booted and runs. Over plain ssh, with the key
// pinned. Used after an install, and before one: "is it already running?"
import { chown, copyFile, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ChildUser } from '../child/identity.ts';
import { type Runner, runProgram } from '../child/program.ts';
import { sleep } from '../clock.ts';
import { onlyKey } from './keys.ts';
import { wayFailure } from './relay-proxy.ts';
import { pinnedOptions, writeKnownHosts } from './shim.ts';
import { proofCommand } from './staging.ts';

export interface ProofRequest {
  readonly address: string;
  readonly port?: number;
  /** `ssh-ed25519 AAAA…` of the installed system. */
  readonly hostKey: string;
  /** Store path that it should have booted and be running. */
  readonly toplevel: string;
  /** Private keys, best first: proof key, the operator's. All are offered in one connection. */
  readonly identities: readonly string[];
  /** SSH_AUTH_SOCK of the operator, asked last. */
  readonly agentSocket?: string;
  /** More ssh options in front, such as `ProxyCommand=…`. */
  readonly options?: readonly string[];
  /** Private folder for the pinned known_hosts. */
  readonly folder: string;
  /** Of each connection, in milliseconds. */
  readonly deadlineMs?: number;
  /** Absolute, or looked for in `searchPath`. */
  readonly ssh?: string;
  readonly searchPath: string;
  /** Whom ssh runs as; they must be able to go through `folder`. Absent: as ourselves. */
  readonly as?: ChildUser;
  readonly signal?: AbortSignal;
  readonly run?: Runner;
}

export type Proof =
  /** Right key, and both links point at the toplevel. */
  | { readonly kind: 'proved'; readonly toplevel: string; readonly by: 'key' | 'agent' }
  /** Right key, but it runs something else. A link that is not there is absent. */
  | { readonly kind: 'other-system'; readonly booted?: string; readonly current?: string; readonly by: 'key' | 'agent' }
  /** Right key, but no identity is let in, or the answer can't be read. */
  | { readonly kind: 'no-way-in'; readonly detail: string }
  /** Somebody answers with another key: another machine, the installer, or an initrd that waits for a passphrase. */
  | { readonly kind: 'wrong-key'; readonly detail: string }
  | Unreachable;

export interface Unreachable {
  readonly kind: 'unreachable';
  readonly detail: string;
  /** The way to it failed before anybody was asked: whether it is there isn't known. */
  readonly unasked?: true;
}

const defaultDeadlineMs = 20_000;

/**
 * One try: at most one connection with the keys, and one with the agent when the keys were refused. Never more, because each refused login makes
 * sshd (OpenSSH 9.8 and later, PerSourcePenalties) deaf to us for a while.
 */
export async function prove(request: ProofRequest): Promise<Proof> {
  const folder = await mkdtemp(join(request.folder, 'proof-'));
  try {
    const knownHosts = await writeKnownHosts(folder, [request.hostKey]);
    if (request.as !== undefined) request = await handOver(request, request.as, folder, knownHosts);
    let answer: Proof = { kind: 'no-way-in', detail: 'no key to log in with' };
    if (request.identities.length > 0) {
      answer = await ask(request, knownHosts, 'key');
      if (answer.kind !== 'no-way-in') return answer;
    }
    if (request.agentSocket !== undefined) return await ask(request, knownHosts, 'agent');
    return request.identities.length > 0 ? answer : await whoAnswers(request, answer);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Copies of the keys that belong to somebody else, since nobody may read them but their owner. */
async function handOver(
  request: ProofRequest,
  as: ChildUser,
  folder: string,
  knownHosts: string,
): Promise<ProofRequest> {
  const identities: string[] = [];
  for (const [index, file] of request.identities.entries()) {
    const owner = await stat(file).then(
      ({ uid }) => uid,
      () => undefined, // gone meanwhile: ssh passes it over
    );
    if (owner === undefined || owner === as.uid) identities.push(file);
    else {
      const copy = join(folder, `key${index}`);
      await copyFile(file, copy);
      await chown(copy, as.uid, as.gid);
      identities.push(copy);
    }
  }
  await chown(knownHosts, as.uid, as.gid);
  await chown(folder, as.uid, as.gid);
  return { ...request, identities };
}

async function ask(request: ProofRequest, knownHosts: string, by: 'key' | 'agent'): Promise<Proof> {
  const { address, deadlineMs = defaultDeadlineMs, run = runProgram } = request;
  const words = [...pinnedOptions(knownHosts), ...(request.options ?? [])];
  if (by === 'key') words.push('IdentitiesOnly=yes', 'IdentityAgent=none');
  else words.push('IdentityFile=none', `IdentityAgent=${request.agentSocket}`);
  const argv = [
    '-F',
    '/dev/null',
    '-T',
    '-x',
    '-a',
    ...words.flatMap((word) => ['-o', word]),
    ...(by === 'key' ? request.identities.flatMap((file) => ['-i', file]) : []),
    ...(request.port === undefined ? [] : ['-p', String(request.port)]),
    `root@${address}`,
    proofCommand,
  ];
  // ssh finds the user's home in the password file, but looks for nothing in it with these options.
  const env = { PATH: request.searchPath, LC_ALL: 'C' };
  const ended = await run(request.ssh ?? 'ssh', argv, { deadlineMs, env, ...asked(request) });
  if (ended.timedOut) return { kind: 'unreachable', detail: `no answer within ${Math.round(deadlineMs / 1000)} s` };
  return readAnswer(ended, request.toplevel, by, request.options !== undefined);
}

/** What ssh's end says. Pure. @param byRelay the program of relay-proxy.ts stood in front of it, and may have said why it failed */
export function readAnswer(
  ended: { readonly status: number | null; readonly stdout: string; readonly stderr: string },
  toplevel: string,
  by: 'key' | 'agent',
  byRelay = false,
): Proof {
  const said = ended.stderr
    .trim()
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const last = said.at(-1)?.slice(0, 300) ?? `ssh ended with status ${ended.status}`;
  if (
    /REMOTE HOST IDENTIFICATION HAS CHANGED|Host key verification failed|no matching host key type/.test(ended.stderr)
  ) {
    return { kind: 'wrong-key', detail: 'its SSH host key is not the one of the installed system' };
  }
  if (/Permission denied|Too many authentication failures/.test(ended.stderr) && ended.status === 255) {
    return { kind: 'no-way-in', detail: last };
  }
  if (ended.status === 255 || ended.status === null)
    return (byRelay ? noAnswer(ended.stderr) : undefined) ?? { kind: 'unreachable', detail: last };
  const [booted, current] = ended.stdout.split('\n').map(storePath);
  if (booted === toplevel && current === toplevel) return { kind: 'proved', toplevel, by };
  if (booted === undefined && current === undefined)
    return { kind: 'no-way-in', detail: `it does not say what it runs: ${last}` };
  return {
    kind: 'other-system',
    by,
    ...(booted === undefined ? {} : { booted }),
    ...(current === undefined ? {} : { current }),
  };
}

/** What the program in front of ssh said of a way by a relay, which ssh's own last line doesn't repeat. */
function noAnswer(stderr: string): Unreachable | undefined {
  const said = wayFailure(stderr);
  if (said === undefined) return undefined;
  return { kind: 'unreachable', detail: said.why.slice(0, 300), ...(said.asked ? {} : { unasked: true }) };
}

/** `readlink -f` of a link that is not there gives its own name. */
function storePath(line: string): string | undefined {
  const path = line.trim();
  return /^\/nix\/store\/[a-z0-9]{32}-[^/\s]+$/.test(path) ? path : undefined;
}

/** Without any identity the key is still told apart from another one. */
async function whoAnswers(request: ProofRequest, right: Proof): Promise<Proof> {
  const found = await scanHostKey({ ...request });
  if (found.kind === 'none')
    return { kind: 'unreachable', detail: found.detail, ...(found.unasked && { unasked: true }) };
  if (found.key === onlyKey(request.hostKey)) return right;
  return { kind: 'wrong-key', detail: 'its SSH host key is not the one of the installed system' };
}

export type ScannedKey =
  | { readonly kind: 'key'; readonly key: string }
  | {
      readonly kind: 'none';
      readonly detail: string;
      /** As in `Unreachable`. */
      readonly unasked?: true;
    };

/** Which ed25519 host key answers at an address, without logging in (so without penalty). Believe nothing because of it alone. */
export async function scanHostKey(request: {
  readonly address: string;
  readonly port?: number;
  readonly searchPath: string;
  readonly deadlineMs?: number;
  /** More ssh options, such as `ProxyCommand=…`, which ssh-keyscan doesn't know: ssh itself then looks, in `folder`. */
  readonly options?: readonly string[];
  readonly folder?: string;
  readonly ssh?: string;
  readonly as?: ChildUser;
  readonly signal?: AbortSignal;
  readonly run?: Runner;
}): Promise<ScannedKey> {
  const { address, port = 22, deadlineMs = 6000, run = runProgram, options = [], folder } = request;
  if (options.length > 0 && folder !== undefined) return await scanByLogin({ ...request, options, folder });
  const argv = [
    '-T',
    String(Math.max(1, Math.floor(deadlineMs / 1000) - 1)),
    '-t',
    'ed25519',
    '-p',
    String(port),
    '--',
    address,
  ];
  const env = { PATH: request.searchPath, LC_ALL: 'C' };
  const ended = await run('ssh-keyscan', argv, { deadlineMs, env, ...asked(request) });
  for (const line of ended.stdout.split('\n')) {
    const key = /^[^#\s]\S* (ssh-ed25519 \S+)$/.exec(line.trim())?.[1];
    if (key !== undefined) return { kind: 'key', key: onlyKey(key) };
  }
  const said = ended.stderr
    .trim()
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .at(-1);
  return { kind: 'none', detail: said || 'no ed25519 host key answered' };
}

/** Begins a login that tries nothing, and reads which key ssh was shown. */
async function scanByLogin(request: {
  readonly address: string;
  readonly port?: number;
  readonly searchPath: string;
  readonly deadlineMs?: number;
  readonly options: readonly string[];
  readonly folder: string;
  readonly ssh?: string;
  readonly as?: ChildUser;
  readonly signal?: AbortSignal;
  readonly run?: Runner;
}): Promise<ScannedKey> {
  const { address, port = 22, deadlineMs = 15_000, run = runProgram, as } = request;
  const folder = await mkdtemp(join(request.folder, 'proof-'));
  try {
    if (as !== undefined) await chown(folder, as.uid, as.gid);
    const file = join(folder, 'known_hosts');
    const words = [
      `UserKnownHostsFile=${file}`,
      'GlobalKnownHostsFile=/dev/null',
      'StrictHostKeyChecking=accept-new',
      'HashKnownHosts=no',
      'HostKeyAlgorithms=ssh-ed25519',
      'PreferredAuthentications=none',
      'BatchMode=yes',
      'ControlPath=none',
      `ConnectTimeout=${Math.max(1, Math.floor(deadlineMs / 1000) - 1)}`,
      ...request.options,
    ];
    const argv = ['-F', '/dev/null', '-T', '-x', '-a', ...words.flatMap((word) => ['-o', word])];
    const env = { PATH: request.searchPath, LC_ALL: 'C' };
    const ended = await run(request.ssh ?? 'ssh', [...argv, '-p', String(port), `root@${address}`, 'true'], {
      deadlineMs,
      env,
      ...asked(request),
    });
    const text = await readFile(file, 'utf8').catch(() => '');
    const key = /^\S+ (ssh-ed25519 \S+)/m.exec(text)?.[1];
    if (key !== undefined) return { kind: 'key', key: onlyKey(key) };
    const { detail, unasked } = noAnswer(ended.stderr) ?? {
      detail: ended.stderr.trim().split('\n').at(-1) || 'no ed25519 host key answered',
    };
    return { kind: 'none', detail, ...(unasked && { unasked }) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function asked({ as, signal }: Pick<ProofRequest, 'as' | 'signal'>) {
  return { ...(as === undefined ? {} : { as }), ...(signal === undefined ? {} : { signal }) };
}

export interface WaitRequest extends Omit<ProofRequest, 'address'> {
  /** Where the machine may be by now; asked before each try, because it may move. */
  readonly addresses: () => Promise<readonly string[]>;
  /** Of the whole search, in milliseconds: servers take minutes to start. */
  readonly patienceMs: number;
  readonly onTry?: (address: string | undefined, proof: Proof) => void;
  /** For tests. */
  readonly now?: () => number;
  readonly wait?: (ms: number) => Promise<void>;
  readonly prove?: typeof prove;
}

/**
 * Pauses after a try, in milliseconds: short while nobody answers, since a closed port costs nothing and sshd may open it any moment. A refused
 * login is repeated slowly: the system may still be starting, and sshd gets deaf.
 */
const pauseMs: Readonly<Record<Proof['kind'], number>> = {
  proved: 0,
  'other-system': 5000,
  'no-way-in': 15_000,
  'wrong-key': 5000,
  unreachable: 500,
};

/** A refused login, or a system that is not ours, is believed after so many tries: one may fall into the start of the machine. */
const certainAfter = 3;

/** Tries until the machine is proved, or an answer that won't change is certain, or patience ends; gives the last, most telling answer. */
export async function waitForProof(request: WaitRequest): Promise<Proof & { readonly address?: string }> {
  const { addresses, patienceMs, onTry, now = () => performance.now(), signal } = request;
  const wait = request.wait ?? ((ms: number) => sleep(ms, signal));
  const until = now() + patienceMs;
  const counts = new Map<Proof['kind'], number>();
  let told: Proof & { readonly address?: string } = { kind: 'unreachable', detail: 'its address was not found' };
  for (;;) {
    let pause = pauseMs.unreachable;
    for (const address of await addresses()) {
      if (signal?.aborted || now() >= until) return told;
      const proof = await (request.prove ?? prove)({ ...request, address });
      onTry?.(address, proof);
      if (proof.kind === 'proved') return { ...proof, address };
      const count = (counts.get(proof.kind) ?? 0) + 1;
      counts.set(proof.kind, count);
      pause = Math.max(pause, pauseMs[proof.kind]);
      if (weight[proof.kind] >= weight[told.kind]) told = { ...proof, address };
      if ((proof.kind === 'no-way-in' || proof.kind === 'other-system') && count >= certainAfter) return told;
    }
    if (signal?.aborted || now() + pause >= until) return told;
    await wait(pause);
  }
}

/** Which answer tells more about the machine. */
const weight: Readonly<Record<Proof['kind'], number>> = {
  unreachable: 0,
  'wrong-key': 1,
  'no-way-in': 2,
  'other-system': 3,
  proved: 4,
};
