// Run as root inside namespaces with their own /nix, nix daemon and /etc/passwd, as `sudo nixie` would be: evaluates, builds and installs one
// host, waits for a line on its input, and proves the host. Prints a JSON line for the install and one for the proof.
// Argument: an OperatorInstall as JSON.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import type { RunConfig } from '../../controller/src/config/run-config.ts';
import { Logins } from '../../controller/src/core/logins.ts';
import { proveInstalled } from '../../controller/src/core/proof-tasks.ts';
import { runTask, type TaskWorld } from '../../controller/src/core/tasks.ts';
import { letThrough, makeRunFolder } from '../../controller/src/install/folders.ts';
import { keygen, proofKey } from '../../controller/src/install/keys.ts';
import { nixEnvironment } from '../../controller/src/install/plan.ts';
import { makeRedactor } from '../../controller/src/install/redact.ts';
import { Secrets } from '../../controller/src/install/secrets.ts';
import type { Host } from '../../controller/src/machine/host.ts';
import { type Happening, type Life, newLife } from '../../controller/src/machine/life.ts';
import type { Mac } from '../../controller/src/machine/mac.ts';
import { prepareRun } from '../../controller/src/preparation.ts';
import { findPrograms } from '../../controller/src/programs.ts';
import { runRights } from '../../controller/src/rights.ts';

export interface OperatorInstall {
  readonly flake: string;
  readonly stateDir: string;
  readonly nixosAnywhere: string;
  readonly runKey: { readonly privateFile: string; readonly publicKey: string };
  readonly address: string;
  readonly sshHostKey: string;
  readonly secrets: NonNullable<Host['secrets']>;
  /** Folder of the sources of secrets. */
  readonly folder: string;
}

export interface OperatorInstalled {
  readonly as?: { readonly name: string; readonly uid: number; readonly setpriv?: string };
  readonly notice?: string;
  readonly toplevel?: string;
  readonly failure?: string;
  readonly told: readonly string[];
  readonly lines: readonly string[];
  /** What ran below this process once the rights were known: program, user, and whether the way to more rights was closed. */
  readonly ran: readonly string[];
}

export interface OperatorProof {
  readonly told: readonly Happening[];
  readonly ran: readonly string[];
}

const request = JSON.parse(process.argv[2]!) as OperatorInstall;
const { env } = process;
const searchPath = env.PATH ?? '';
const abort = new AbortController();
const { signal } = abort;
const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

let ran = new Set<string>();
const looking = setInterval(() => {
  for (const each of descendants()) ran.add(each);
}, 10);
const seen = () => {
  const all = [...ran].sort();
  ran = new Set();
  return all;
};

const host: Host = {
  name: 'm1',
  flakeAttr: 'm1',
  macs: ['52:54:00:00:00:01' as Mac],
  system: 'x86_64-linux',
  tags: [],
  boot: [],
  expectDisks: [],
  wipe: false,
  secrets: request.secrets,
};
const config = {
  hosts: [host],
  allHosts: [host],
  flake: request.flake,
  installers: { 'x86_64-linux': '#installer' },
  stateDir: request.stateDir,
  buildTimeoutSeconds: 100,
} as unknown as RunConfig;

const programs = findPrograms(searchPath, request.nixosAnywhere);
const rights = await runRights(config, {
  env,
  cwd: '/',
  programs,
  runFolder: join(request.stateDir, 'run'),
  node: process.execPath,
});
seen();
const told: Happening[] = [];
const lines: string[] = [];
const print = (value: unknown) => void process.stdout.write(`${JSON.stringify(value)}\n`);
const runFolder = await makeRunFolder(join(request.stateDir, 'run'));
if (rights.as !== undefined) await letThrough(runFolder.path, rights.as);
try {
  const { plans, failures } = await prepareRun(config, { env, cwd: '/', signal, rights }, () => {});
  const plan = plans.get('m1');
  const generate = keygen(searchPath);
  const world = {
    plans,
    finder: { find: async () => [request.address], macOf: async () => undefined },
    agents: {
      connected: async () => {},
      session: () => 1,
      instruct: async () => ({ ok: false, error: 'there is no agent here' }),
    },
    // The pre-flight, which needs an agent, has seen to the disks a moment ago.
    looks: { get: () => ({ session: 1, at: Date.now(), registered: undefined, begun: undefined, targets: [] }) },
    leased: () => [],
    expects: () => false,
    tell: (_host: string, happening: Happening) => void told.push(happening),
    emit: (event: { event: string; text?: string }) => event.event === 'log' && lines.push(event.text ?? ''),
    now: Date.now,
    sleep,
    inTurn: (call: () => Promise<void>) => call(),
    keepLog: () => {},
    mayLoseData: () => false,
    runKey: request.runKey,
    proofKey: await proofKey(request.stateDir, generate),
    proofFolder: runFolder.path,
    keygen: generate,
    identities: [join(request.stateDir, 'proof/id_ed25519')],
    logins: new Logins(),
    stateDir: request.stateDir,
    secrets: new Secrets({
      folder: request.folder,
      env,
      prompted: new Map(),
      redactor: makeRedactor(),
      warn: () => {},
    }),
    ...(rights.as === undefined ? {} : { childUser: rights.as }),
    nixosAnywhere: programs.nixosAnywhere,
    realSsh: programs.ssh,
    searchPath,
    nixEnv: nixEnvironment(env),
    proofPatienceMs: 20_000,
    answersCurrent: async () => {},
  } as unknown as TaskWorld;
  const life: Life = {
    ...newLife('m1', 0),
    mac: host.macs[0]!,
    address: request.address,
    sshHostKey: request.sshHostKey,
    bootId: 'b',
  };
  let failure = plan === undefined ? JSON.stringify(failures.get('m1')) : undefined;
  try {
    if (failure === undefined)
      for (const task of ['disko', 'install'] as const) await runTask(world, task, life, signal);
  } catch (error) {
    failure = (error as Error).message;
  }
  const installed: OperatorInstalled = {
    ...(rights.as === undefined ? {} : { as: rights.as }),
    ...(rights.notice === undefined ? {} : { notice: rights.notice }),
    ...(plan === undefined ? {} : { toplevel: plan.system.toplevel.out }),
    ...(failure === undefined ? {} : { failure }),
    told: told.map(({ kind }) => kind),
    lines,
    ran: seen(),
  };
  print(installed);
  if (failure === undefined && plan !== undefined) {
    const input = createInterface(process.stdin);
    for await (const _line of input) break;
    input.close();
    told.length = 0;
    await proveInstalled(world, plan, life, signal);
    const proof: OperatorProof = { told, ran: seen() };
    print(proof);
  }
} finally {
  clearInterval(looking);
  await runFolder.remove();
}
process.stdin.destroy();

/** `PROGRAM UID nnp=0|1`, with `leak` behind it where a variable of root's came through, of each process that we or a child of ours started; those that have not yet become their own program are left out. */
function descendants(): string[] {
  const below = new Set([process.pid]);
  const processes = readdirSync('/proc')
    .map(Number)
    .filter(Number.isInteger)
    .flatMap((pid) => {
      try {
        const status = readFileSync(`/proc/${pid}/status`, 'utf8');
        const field = (name: string) => new RegExp(`^${name}:\\s+(\\S+)`, 'm').exec(status)?.[1] ?? '';
        return [
          {
            pid,
            parent: Number(field('PPid')),
            uid: field('Uid'),
            nnp: field('NoNewPrivs'),
            of: program(pid),
            leak: leak(pid),
          },
        ];
      } catch {
        return []; // it ended
      }
    });
  for (let more = true; more; ) {
    const found = processes.filter(({ pid, parent }) => below.has(parent) && !below.has(pid));
    for (const { pid } of found) below.add(pid);
    more = found.length > 0;
  }
  return processes
    .filter(({ pid, of }) => below.has(pid) && of !== program(process.pid) && of !== '')
    .map(({ of, uid, nnp, leak }) => `${of} ${uid} nnp=${nnp}${leak}`);
}

function leak(pid: number): string {
  return /(?:^|\0)SECRET_OF_ROOT=/.test(readFileSync(`/proc/${pid}/environ`, 'latin1')) ? ' leak' : '';
}

function program(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/exe`).split('/').at(-1)!;
  } catch {
    return ''; // a zombie
  }
}
