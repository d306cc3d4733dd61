// What is done while a machine is in a stage: each task is one function that tells its outcome to the core as a happening.
// Nothing here decides what comes next; that is life.ts.
// It is long because the tasks of all stages stand side by side and share what they were given.
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { InstructionResult, SessionResponse } from '@nixie/proto/agent';
import type { Inventory } from '@nixie/proto/inventory';
import { makeRunFolder, type RunFolder } from '../install/folders.ts';
import { installedHostKey, type Keygen, type KeyPair } from '../install/keys.ts';
import { type Phase, planPhase } from '../install/plan.ts';
import { type PhaseResult, runPhase } from '../install/run.ts';
import { writeShim } from '../install/shim.ts';
import { stageExtraFiles } from '../install/staging.ts';
import { type Proof, type ProofRequest, prove, scanHostKey, waitForProof } from '../install/verify.ts';
import { judgeDisks } from '../machine/disks.ts';
import type { RunEvent } from '../machine/event.ts';
import type { Host } from '../machine/host.ts';
import type { Happening, Life } from '../machine/life.ts';
import type { Mac } from '../machine/mac.ts';
import type { Closure } from '../nix/closure.ts';
import type { HostSystem } from '../nix/types.ts';
import { iso, type Task } from './core.ts';
import type { Finder } from './place.ts';

type Instruction = Extract<NonNullable<SessionResponse['message']>, { $case: 'instruction' }>['value'];
export type Action = NonNullable<Instruction['action']>;

/** A host with what was built for it. */
export interface Plan {
  readonly host: Host;
  readonly system: HostSystem;
  readonly closure: Closure;
}

/** The way to the agent of a machine. */
export interface AgentLink {
  /** Resolves when a session of this boot is there; rejects at the deadline or the signal. */
  connected(host: string, deadlineMs: number, signal: AbortSignal): Promise<void>;
  instruct(host: string, action: Action, deadlineMs: number): Promise<InstructionResult>;
}

/** All by which tasks reach beyond memory: files, programs, clocks. */
export const realTools = {
  exists: (path: string): Promise<boolean> =>
    stat(path).then(
      () => true,
      () => false,
    ),
  installedHostKey,
  makeRunFolder,
  prove,
  runPhase,
  scanHostKey,
  stageExtraFiles,
  waitForProof,
  writeShim,
};
export type TaskTools = typeof realTools;

export interface TaskWorld {
  /** Absent: the real ones. */
  readonly tools?: TaskTools;
  readonly plans: ReadonlyMap<string, Plan>;
  readonly finder: Finder;
  readonly agents: AgentLink;
  /** Addresses that we lease to these MACs, if we are the DHCP server. */
  leased(macs: readonly Mac[]): readonly string[];
  /** The inventory of the registration of this boot, then each newer one. */
  inventory(host: string): Inventory | undefined;
  keepInventory(host: string, inventory: Inventory): void;
  /**
   * `ssh-ed25519 AAAA…` of the installer that registered last, kept over a restart: who shows it has lost nothing but the controller, and its
   * agent will be back.
   */
  installerKey(host: string): string | undefined;
  tell(host: string, happening: Happening): void;
  emit(event: RunEvent): void;
  now(): number;
  sleep(milliseconds: number, signal: AbortSignal): Promise<void>;
  /** One round of magic packets; the number sent. */
  wake(macs: readonly Mac[], signal: AbortSignal): Promise<number>;
  /** Runs it when one of the places for copies is free. */
  inTurn<T>(call: () => Promise<T>): Promise<T>;
  /** Keeps the last lines of a host for the report. */
  keepLog(host: string, lines: readonly string[]): void;
  mayLoseData(host: Host): boolean;
  readonly runKey: KeyPair;
  readonly proofKey: KeyPair;
  /** Private keys for the proof, best first. */
  readonly identities: readonly string[];
  readonly agentSocket?: string;
  readonly stateDir: string;
  readonly nixosAnywhere: string;
  readonly realSsh: string;
  readonly keygen: Keygen;
  readonly searchPath: string;
  readonly nixEnv: Readonly<Record<string, string>>;
  readonly proofPatienceMs: number;
  /** Resolves when firmware is answered by what is decided now. */
  answersCurrent(): Promise<void>;
}

/** Milliseconds between rounds of magic packets: soon at first, because packets get lost, then patiently. */
const wakePauses = [5000, 10_000, 15_000, 30_000];
const sessionMs = 90_000;
const inspectMs = 60_000;
const resetMs = 60_000;

export function runTask(world: TaskWorld, task: Task, life: Life, signal: AbortSignal): Promise<void> {
  const plan = world.plans.get(life.host);
  if (plan === undefined) throw new Error('nothing was built for it');
  return tasks[task](world, plan, life, signal);
}

type TaskRun = (world: TaskWorld, plan: Plan, life: Life, signal: AbortSignal) => Promise<void>;

const tasks: Readonly<Record<Task, TaskRun>> = {
  probe,
  wake,
  preflight,
  disko,
  install,
  reboot,
  prove: proveInstalled,
  leave,
};

/** Is it up, and does it run what was built? Nothing is sent to it but a login with a pinned key. */
async function probe(world: TaskWorld, plan: Plan, life: Life, signal: AbortSignal): Promise<void> {
  const { host } = plan;
  const tell = (happening: Happening) => world.tell(life.host, happening);
  // The operator has said that it is to be installed again, so what it runs doesn't matter.
  if (world.mayLoseData(host)) return tell({ kind: 'found-nobody' });
  const addresses = [...new Set([...world.leased(host.macs), ...(await world.finder.find(host.macs, signal))])];
  const tools = world.tools ?? realTools;
  const known = await tools.exists(join(world.stateDir, 'hostkeys', host.name, 'ssh_host_ed25519_key'));
  for (const address of addresses) {
    if (signal.aborted) return;
    if (!known) {
      const scanned = await tools.scanHostKey({ address, searchPath: world.searchPath, signal });
      if (scanned.kind === 'key' && scanned.key !== world.installerKey(host.name))
        return tell({
          kind: 'found-doubtful',
          address,
          reason: `it is up at ${address}, and this state directory holds no host key of it, so what it runs can't be proved; to install it again, switch it off first`,
        });
      continue;
    }
    const { publicKey } = await tools.installedHostKey(world.stateDir, host.name, world.keygen);
    const proof = await tools.prove(await proofRequest(world, plan, publicKey, address, signal));
    if (proof.kind === 'wrong-key') {
      const scanned = await tools.scanHostKey({ address, searchPath: world.searchPath, signal });
      if (scanned.kind === 'key' && scanned.key === world.installerKey(host.name)) continue;
    }
    const verdict = whatProbeSays(plan, address, proof);
    if (verdict !== undefined) return tell(verdict);
  }
  tell({ kind: 'found-nobody' });
}

function whatProbeSays(plan: Plan, address: string, proof: Proof): Happening | undefined {
  const again = `to install it again: --reinstall ${plan.host.name}`;
  switch (proof.kind) {
    case 'proved':
      return { kind: 'found-proved', address };
    case 'other-system':
      return {
        kind: 'found-doubtful',
        address,
        reason: `it is up at ${address} and runs ${proof.booted ?? proof.current ?? 'an unknown system'}, not ${plan.system.toplevel.out}; to update it use nixos-rebuild, ${again}`,
      };
    case 'no-way-in':
      return {
        kind: 'found-doubtful',
        address,
        reason: `it is up at ${address} with the host key that was placed, but lets nobody in to say what it runs (${proof.detail}); give --ssh-key, or ${again}`,
      };
    case 'wrong-key':
      return {
        kind: 'found-doubtful',
        address,
        reason: `it is up at ${address} with a host key that Nixie did not place (its installer, or another system); switch it off and run again, or ${again}`,
      };
    case 'unreachable':
      return undefined;
  }
}

async function proofRequest(
  world: TaskWorld,
  plan: Plan,
  hostKey: string,
  address: string,
  signal: AbortSignal,
): Promise<ProofRequest> {
  return {
    address,
    hostKey,
    toplevel: plan.system.toplevel.out,
    identities: world.identities,
    ...(world.agentSocket === undefined ? {} : { agentSocket: world.agentSocket }),
    folder: world.stateDir,
    searchPath: world.searchPath,
    ssh: world.realSsh,
    signal,
  };
}

/** Magic packets, again and again, until something is heard of it. */
async function wake(world: TaskWorld, plan: Plan, life: Life, signal: AbortSignal): Promise<void> {
  if (world.mayLoseData(plan.host) && (await world.finder.find(plan.host.macs, signal)).length > 0)
    world.emit({
      event: 'notice',
      at: iso(world.now()),
      host: life.host,
      level: 'warning',
      text: `${life.host} seems to be up: it is installed again when it next boots from the network`,
    });
  for (let round = 0; !signal.aborted; round++) {
    const sent = await world.wake(plan.host.macs, signal);
    world.emit({ event: 'seen', at: iso(world.now()), host: life.host, kind: 'wake-sent', detail: `${sent} packets` });
    await world.sleep(wakePauses[Math.min(round, wakePauses.length - 1)]!, signal);
  }
}

/** The last look before anything is written. */
async function preflight(world: TaskWorld, plan: Plan, life: Life, signal: AbortSignal): Promise<void> {
  await world.agents.connected(life.host, sessionMs, signal);
  const registered = world.inventory(life.host);
  if (registered === undefined) throw new Error('the agent sent no inventory');
  world.tell(life.host, { kind: 'inspecting' });
  const result = await world.agents.instruct(life.host, { $case: 'inspect', value: {} }, inspectMs);
  if (signal.aborted) return;
  if (!result.ok || result.inventory === undefined)
    throw new Error(`read the disks: ${result.error || 'the agent sent nothing'}`);
  world.keepInventory(life.host, result.inventory);
  const { host } = plan;
  const reasons: string[] = [];
  const macs = result.inventory.nics.flatMap((nic) => [nic.mac, nic.permanentMac]);
  if (life.mac === undefined || !macs.includes(life.mac))
    reasons.push(`its agent speaks for ${life.mac ?? 'no MAC'}, but no network card of the machine has it`);
  const devices = plan.system.diskDevices;
  const verdict = judgeDisks(
    host,
    devices === undefined ? undefined : Object.values(devices),
    registered,
    result.inventory,
    {
      loseData: world.mayLoseData(host),
    },
  );
  if (!verdict.ok) reasons.push(...verdict.reasons);
  if (reasons.length > 0) return world.tell(life.host, { kind: 'disks-refused', reason: reasons.join('; ') });
  world.tell(life.host, { kind: 'disks-free' });
}

async function disko(world: TaskWorld, plan: Plan, life: Life, signal: AbortSignal): Promise<void> {
  await twice(world, life, signal, () => phase(world, plan, life, 'disko', signal));
  if (!signal.aborted) world.tell(life.host, { kind: 'disko-ended' });
}

async function install(world: TaskWorld, plan: Plan, life: Life, signal: AbortSignal): Promise<void> {
  await world.inTurn(async () => {
    if (signal.aborted) return;
    await twice(world, life, signal, () => phase(world, plan, life, 'install', signal));
    if (!signal.aborted) world.tell(life.host, { kind: 'install-ended' });
  });
}

/** The mark is set: this stage is on the disk of the controller and in every answer to firmware before the order goes out. */
async function reboot(world: TaskWorld, plan: Plan, life: Life, signal: AbortSignal): Promise<void> {
  await world.answersCurrent();
  const result = await phase(world, plan, life, 'reboot', signal);
  if (signal.aborted) return;
  if (!result.ok) {
    world.emit({
      event: 'notice',
      at: iso(world.now()),
      host: life.host,
      level: 'warning',
      text: `${result.sentence}; its agent is told to reboot`,
    });
    // Whether it hears or not: the proof will show.
    await world.agents.instruct(life.host, { $case: 'reboot', value: { delayMs: 0 } }, 10_000).catch(() => undefined);
  }
  if (!signal.aborted) world.tell(life.host, { kind: 'reboot-ordered' });
}

async function proveInstalled(world: TaskWorld, plan: Plan, life: Life, signal: AbortSignal): Promise<void> {
  const tools = world.tools ?? realTools;
  const { publicKey } = await tools.installedHostKey(world.stateDir, life.host, world.keygen);
  const { address: _none, ...request } = await proofRequest(world, plan, publicKey, '', signal);
  const proof = await tools.waitForProof({
    ...request,
    addresses: async () => [
      ...new Set([
        ...world.leased(plan.host.macs),
        ...(await world.finder.find(plan.host.macs, signal)),
        ...(life.address === undefined ? [] : [life.address]),
      ]),
    ],
    patienceMs: world.proofPatienceMs,
    onTry: (address, each) => {
      if (each.kind !== 'proved')
        world.emit({
          event: 'log',
          at: iso(world.now()),
          host: life.host,
          source: 'proof',
          text: `${address ?? 'no address'}: ${each.kind}${'detail' in each ? `: ${each.detail}` : ''}`,
        });
    },
  });
  if (signal.aborted) return;
  const tell = (happening: Happening) => world.tell(life.host, happening);
  switch (proof.kind) {
    case 'proved':
      return tell({ kind: 'proof-given', address: proof.address ?? life.address ?? '', hostKey: publicKey });
    case 'no-way-in':
      return tell({
        kind: 'proof-impossible',
        address: proof.address ?? '',
        reason: `it shows the host key that was placed, but lets nobody in: ${proof.detail}`,
      });
    case 'other-system':
      return tell({
        kind: 'failed',
        reason: `it booted ${proof.booted ?? 'an unknown system'}, not ${plan.system.toplevel.out}`,
      });
    case 'wrong-key':
      return tell({
        kind: 'failed',
        reason: `after the reboot another host key than the placed one answers at ${proof.address}: did it boot from somewhere else?`,
      });
    case 'unreachable':
      return tell({ kind: 'failed', reason: `the installed system did not come up: ${proof.detail}` });
  }
}

/** A machine that was refused was woken by us: it goes back to where it was. A failed one stays as it is, for the operator to look at. */
async function leave(world: TaskWorld, _plan: Plan, life: Life): Promise<void> {
  if (life.stage !== 'refused') return;
  await world.agents.instruct(life.host, { $case: 'powerOff', value: { delayMs: 0 } }, 10_000).catch(() => undefined);
}

/** Runs a phase, and once more when it failed for a reason that may pass. Throws with the sentence of the second failure. */
async function twice(
  world: TaskWorld,
  life: Life,
  signal: AbortSignal,
  run: () => Promise<PhaseResult>,
): Promise<void> {
  const first = await run();
  if (first.ok || signal.aborted) return;
  if (!mayPass.has(first.cause)) throw new Error(first.sentence);
  world.emit({
    event: 'notice',
    at: iso(world.now()),
    host: life.host,
    level: 'warning',
    text: `${first.sentence}; it is tried once more`,
  });
  const stage = first.step;
  if (stage === 'disko' || stage === 'upload') {
    const reset = await world.agents
      .instruct(life.host, { $case: 'resetDisks', value: {} }, resetMs)
      .catch((error: Error) => error);
    if (signal.aborted) return;
    if (reset instanceof Error)
      throw new Error(`${first.sentence}; and its agent could not clean up: ${reset.message}`);
  }
  const second = await run();
  if (!second.ok && !signal.aborted) throw new Error(second.sentence);
}

const mayPass: ReadonlySet<string> = new Set([
  'connection-lost',
  'copy-failed',
  'disko-failed',
  'disk-busy',
  'silent',
  'unreachable',
  'install-failed',
]);

async function phase(world: TaskWorld, plan: Plan, life: Life, name: Phase, signal: AbortSignal): Promise<PhaseResult> {
  const { address, sshHostKey } = life;
  if (address === undefined || sshHostKey === undefined) throw new Error('its agent gave no address or host key');
  const tools = world.tools ?? realTools;
  const folder = await tools.makeRunFolder(join(world.stateDir, 'run'));
  try {
    await tools.writeShim({ folder: folder.shim, realSsh: world.realSsh, hostKeys: [sshHostKey] });
    const extraFiles = name === 'install' ? await staged(world, plan, folder) : undefined;
    const result = await tools.runPhase({
      plan: planPhase({
        phase: name,
        host: life.host,
        address,
        program: world.nixosAnywhere,
        disko: plan.system.diskoScript.out,
        toplevel: plan.system.toplevel.out,
        keyFile: world.runKey.privateFile,
        paths: folder,
        searchPath: world.searchPath,
        env: world.nixEnv,
        ...(extraFiles === undefined ? {} : { extraFiles }),
      }),
      address,
      sizes: plan.closure.sizes,
      signal,
      onEvent: (event) => {
        const at = iso(world.now());
        if (event.kind === 'line') world.emit({ event: 'log', at, host: life.host, source: name, text: event.text });
        else if (event.kind === 'step' && event.step === 'extra-files')
          world.tell(life.host, { kind: 'install-began' });
        else if (event.kind === 'copy' && event.step === 'copy')
          world.emit({
            event: 'progress',
            at,
            host: life.host,
            stage: 'copy',
            done_bytes: event.doneBytes,
            ...(event.totalBytes === undefined ? {} : { total_bytes: event.totalBytes }),
          });
      },
    });
    world.keepLog(life.host, result.tail);
    return result;
  } finally {
    await folder.remove();
  }
}

async function staged(world: TaskWorld, plan: Plan, folder: RunFolder): Promise<string> {
  const tools = world.tools ?? realTools;
  const hostKey = await tools.installedHostKey(world.stateDir, plan.host.name, world.keygen);
  const staging = await tools.stageExtraFiles(join(folder.path, 'extra'), {
    hostKey,
    proofKey: world.proofKey.publicKey,
  });
  return staging.path;
}
