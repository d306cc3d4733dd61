// What is done while a machine is in a stage: each task is one function that tells its outcome to the core as a happening.
// Nothing here decides what comes next; that is life.ts.
import { join } from 'node:path';
import { giveFolder, type RunFolder } from '../install/folders.ts';
import { copyKey } from '../install/keys.ts';
import { type Phase, planPhase } from '../install/plan.ts';
import type { PhaseResult } from '../install/run.ts';
import type { OpenKeys } from '../install/secrets.ts';
import { failingTargets } from '../machine/disk-health.ts';
import { halfWritten, type Life, marked } from '../machine/life.ts';
import { bootsAnew } from './boots-anew.ts';
import { type Copied, checkUse, complains, offerCache } from './cache-offer.ts';
import { iso, type Task } from './core.ts';
import { lookAgain, lookAtDisks } from './disk-look.ts';
import { linkHinted, targetDisk } from './linked-disk.ts';
import { probe, proveInstalled } from './proof-tasks.ts';
import { byRelay, cut, LinkCut, linkClock, sshWay } from './relay-way.ts';
import { restart } from './restart-task.ts';
import { type Action, type BuiltPlan, type Plan, realTools, type TaskWorld } from './task-world.ts';
import { wake } from './wake-task.ts';

export {
  type Action,
  type AgentLink,
  type BuiltPlan,
  type Plan,
  realTools,
  type TaskTools,
  type TaskWorld,
} from './task-world.ts';

const sessionMs = 90_000;
const askMs = 10_000;
const resetMs = 60_000;

export function runTask(world: TaskWorld, task: Task, life: Life, signal: AbortSignal): Promise<void> {
  const plan = world.plans.get(life.host);
  if (!logsIn.has(task)) void world.logins.close(life.host);
  if (plan === undefined) {
    if (task === 'leave') return Promise.resolve();
    throw new Error('nothing was built for it');
  }
  return byRelay(world, task, plan, life, signal, () => tasks[task](world, plan, life, signal));
}

/** These hand one login on from one to the next. */
const logsIn: ReadonlySet<Task> = new Set(['preflight', 'disko', 'install']);

type TaskRun = (world: TaskWorld, plan: Plan, life: Life, signal: AbortSignal) => Promise<void>;

const tasks: Readonly<Record<Task, TaskRun>> = {
  probe,
  wake,
  preflight,
  disko,
  install,
  restart,
  reboot,
  prove: proveInstalled,
  leave,
};

/** Has its agent do something; a failure is thrown with what it was for. */
async function ask(world: TaskWorld, life: Life, what: string, action: Action, deadlineMs: number) {
  const result = await world.agents.instruct(life.host, action, deadlineMs);
  if (!result.ok) throw new Error(`${what}: ${result.error || 'its agent failed'}`);
  return result;
}

/** Nothing is written for a system that may never be there. */
function built(plan: Plan | undefined): BuiltPlan {
  if (plan?.closure === undefined) throw new Error('its system is not built');
  return { ...plan, closure: plan.closure };
}

/** The last look before anything is written. A machine that was quicker than its build waits for it before that look. */
async function preflight(world: TaskWorld, evaluated: Plan, life: Life, signal: AbortSignal): Promise<void> {
  const { host } = evaluated;
  await world.agents.connected(life.host, sessionMs, signal, life.bootId);
  if (evaluated.closure === undefined) {
    await world.whenBuilt?.(life.host, signal);
    if (signal.aborted) return;
    await world.agents.connected(life.host, sessionMs, signal, life.bootId);
  }
  const plan = built(world.plans.get(life.host));
  const began = linkClock(world);
  const registered = world.inventory(life.host);
  if (registered === undefined) throw new Error('the agent sent no inventory');
  world.tell(life.host, { kind: 'inspecting' });
  const bootId = life.bootId ?? '';
  const authorizedKeys = world.keysFor?.(bootId);
  if (authorizedKeys !== undefined) {
    await ask(
      world,
      life,
      'give it the keys of this run',
      { $case: 'authorize', value: { authorizedKeys: [...authorizedKeys] } },
      askMs,
    );
    world.keysGiven?.(bootId);
  }
  if (signal.aborted) return;
  await offerCache(world, life);
  if (signal.aborted) return;
  const begun = world.begun?.get(life.host, bootId);
  if (begun !== undefined) {
    const { ok, error } = await world.agents.instruct(life.host, { $case: 'resetDisks', value: {} }, resetMs);
    if (signal.aborted) return;
    if (!ok && cut(world, host, began)) throw new LinkCut(error);
    if (!ok) return void stuck(world, life, `let go of its disks: ${error || 'its agent failed'}`);
  }
  world.logins.begin(world, plan, life);
  const look = { session: world.agents.session(life.host), at: world.now(), registered, begun };
  const seen = await lookAtDisks(world, plan, life, look);
  if (signal.aborted) return;
  if (!seen.free && cut(world, host, began)) throw new LinkCut(seen.reason);
  if (!seen.free) return world.tell(life.host, { kind: 'disks-refused', reason: seen.reason });
  world.looks.set(life.host, { ...look, targets: seen.targets });
  for (const text of failingTargets(seen.targets, world.fullInventory?.(life.host)))
    world.emit({ event: 'notice', at: iso(world.now()), host: life.host, level: 'warning', text });
  world.emit({
    event: 'disks',
    at: iso(world.now()),
    host: life.host,
    disks: seen.targets.map((disk) => targetDisk(disk, seen.hinted)),
  });
  // All of them, also those for later: a source that fails must not leave a machine half written.
  await world.secrets?.read(host, signal);
  if (signal.aborted) return;
  world.tell(life.host, { kind: 'disks-free' });
}

async function disko(world: TaskWorld, evaluated: Plan, life: Life, signal: AbortSignal): Promise<void> {
  const plan = built(evaluated);
  const began = linkClock(world);
  const changed = await lookAgain(world, plan, life);
  if (signal.aborted) return;
  if (changed !== undefined && cut(world, plan.host, began)) throw new LinkCut(changed.refused);
  if (changed !== undefined) return world.tell(life.host, { kind: 'disks-refused', reason: changed.refused });
  let tries = 0;
  const run = async () =>
    (await linkHinted(world, plan, life, tries++ === 0)) ?? phase(world, plan, life, 'disko', signal);
  if (!(await twice(world, plan, life, signal, run))) return;
  world.secrets?.forget(plan.host, 'disk key');
  world.tell(life.host, { kind: 'disko-ended' });
}

async function install(world: TaskWorld, evaluated: Plan, life: Life, signal: AbortSignal): Promise<void> {
  const plan = built(evaluated);
  const run = async () => {
    if (!(await twice(world, plan, life, signal, () => phase(world, plan, life, 'install', signal)))) return;
    // From here on what its disks hold is a system.
    world.begun?.clear(life.host);
    world.secrets?.forget(plan.host);
    mark(world, plan, life);
    world.tell(life.host, { kind: 'install-ended' });
  };
  await world.inTurn(run, life.host, signal);
}

/** Before anybody hears that it is installed: from here on a run that is cut off is taken up where it was. */
function mark(world: TaskWorld, plan: Plan, life: Life): void {
  world.consentUsed?.(plan.host);
  try {
    world.marks?.set(life.host, plan.system.toplevel.out);
  } catch (error) {
    const text = `${(error as Error).message}; should this run be cut off before its proof, the next one looks at its disks first`;
    world.emit({ event: 'notice', at: iso(world.now()), host: life.host, level: 'warning', text });
  }
}

/** The mark is set: this stage is on the disk of the controller and in every answer to firmware before the order goes out. */
async function reboot(world: TaskWorld, plan: Plan, life: Life, signal: AbortSignal): Promise<void> {
  await world.answersCurrent(plan.host, signal);
  if (signal.aborted) return;
  // An earlier run ordered the reboot, or was about to: the task that proves it sees to that.
  if (life.bootId === undefined) return world.tell(life.host, { kind: 'reboot-ordered' });
  if (!(await rebootByAgent(world, life, signal))) {
    if (signal.aborted) return;
    const result = await phase(world, plan, life, 'reboot', signal);
    if (signal.aborted) return;
    if (!result.ok)
      // Whether it is on its way all the same: the proof will show.
      world.emit({ event: 'notice', at: iso(world.now()), host: life.host, level: 'warning', text: result.sentence });
  }
  if (!signal.aborted) world.tell(life.host, { kind: 'reboot-ordered' });
}

/**
 * The agent lets go of the disks and reboots: some ten seconds sooner than nixos-anywhere, which logs in anew, sleeps, and polls until the
 * machine has gone. False when the agent isn't there or could not unmount; nixos-anywhere's own phase is then the way.
 */
async function rebootByAgent(world: TaskWorld, life: Life, signal: AbortSignal): Promise<boolean> {
  try {
    await world.agents.connected(life.host, 5000, signal, life.bootId);
    const free = await world.agents.instruct(life.host, { $case: 'resetDisks', value: {} }, resetMs);
    if (!free.ok || signal.aborted) return false;
    return (await world.agents.instruct(life.host, { $case: 'reboot', value: { delayMs: 0 } }, 10_000)).ok;
  } catch {
    return false;
  }
}

/**
 * A machine that was refused was woken by us: it goes back to where it was, and so does one whose build has failed. Another that failed stays as it
 * is, for the operator to look at; but what a login left running on it doesn't go on writing.
 */
async function leave(world: TaskWorld, _plan: Plan, life: Life): Promise<void> {
  const action: Action | undefined =
    life.stage === 'refused' || untouched(world, life)
      ? { $case: 'powerOff', value: { delayMs: 0 } }
      : halfWritten(life)
        ? { $case: 'abort', value: {} }
        : undefined;
  if (action !== undefined) await world.agents.instruct(life.host, action, askMs).catch(() => undefined);
}

/** It waited for its build in vain: nothing on it is worth a look, unless an earlier life of the controller began to write in this very boot. */
function untouched(world: TaskWorld, life: Life): boolean {
  const { host, bootId } = life;
  if (bootId === undefined || world.buildFailed?.(host) !== true) return false;
  return !halfWritten(life) && !marked(life) && world.begun?.get(host, bootId) === undefined;
}

/**
 * Runs a phase, and once more when it failed for a reason that may pass; when that may pass too, by a fresh boot. True when it is done; throws
 * when nothing would help.
 */
async function twice(
  world: TaskWorld,
  { host }: Plan,
  life: Life,
  signal: AbortSignal,
  run: () => Promise<PhaseResult>,
): Promise<boolean> {
  const began = linkClock(world);
  const first = await run();
  if (signal.aborted || (await bootsAnew(world, life, signal, first))) return false;
  if (first.ok) return true;
  if (cut(world, host, began)) throw new LinkCut(first.sentence);
  // It has had its time already: at once the fresh boot.
  if (first.cause === 'too-slow') return stuck(world, life, first.sentence);
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
    if (signal.aborted) return false;
    const why = reset instanceof Error ? reset.message : reset.ok ? undefined : reset.error;
    if (why !== undefined && cut(world, host, began)) throw new LinkCut(why);
    if (why !== undefined) return stuck(world, life, `${first.sentence}; and its agent could not clean up: ${why}`);
  }
  const second = await run();
  if (signal.aborted || (await bootsAnew(world, life, signal, second))) return false;
  if (second.ok) return true;
  if (cut(world, host, began)) throw new LinkCut(second.sentence);
  if (!mayPass.has(second.cause)) throw new Error(second.sentence);
  return stuck(world, life, second.sentence);
}

function stuck(world: TaskWorld, life: Life, reason: string): false {
  world.tell(life.host, { kind: 'stuck', reason });
  return false;
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
  let keys: OpenKeys | undefined;
  let again = false;
  try {
    const extra = name === 'install' ? await staged(world, plan, folder, signal) : {};
    const as = world.childUser;
    if (name === 'disko') keys = await world.secrets?.openDiskKeys(plan.host, folder, as?.uid, signal);
    const key = as === undefined ? world.runKey : await copyKey(world.runKey, folder.keys, 'run');
    // Its phase polls until no login works any more: a shared one would tell it nothing.
    const login = name === 'reboot' ? undefined : await world.logins.use(world, plan, life, signal);
    await tools.writeShim({
      folder: folder.shim,
      realSsh: world.realSsh,
      hostKeys: [sshHostKey],
      ...sshWay(world, plan.host),
      ...(login === undefined ? {} : { controlPath: login.controlPath }),
    });
    if (as !== undefined) await giveFolder(folder, as);
    const copied: Copied = { fetched: 0, pushed: 0 };
    const result = await tools.runPhase({
      plan: planPhase({
        phase: name,
        host: life.host,
        address,
        program: world.nixosAnywhere,
        disko: plan.system.diskoScript.out,
        toplevel: plan.system.toplevel.out,
        keyFile: key.privateFile,
        paths: folder,
        searchPath: world.searchPath,
        env: world.nixEnv,
        ...extra,
        ...(as === undefined ? {} : { as }),
        ...(keys === undefined ? {} : { diskKeys: keys.paths }),
      }),
      ...(keys === undefined ? {} : { descriptors: keys.descriptors }),
      address,
      ...(login === undefined ? {} : { login: login.master }),
      sizes: ((name === 'disko' ? plan.diskoClosure : undefined) ?? plan.closure)?.sizes,
      signal,
      onEvent: (event) => {
        const at = iso(world.now());
        if (event.kind === 'line') {
          complains(copied, event.text);
          world.emit({ event: 'log', at, host: life.host, source: name, text: event.text });
        } else if (event.kind === 'step' && event.step === 'extra-files')
          world.tell(life.host, { kind: 'install-began' });
        else if (event.kind === 'copy' && event.step === 'copy') {
          Object.assign(copied, { fetched: event.fetched, pushed: event.pushed });
          world.emit({
            event: 'progress',
            at,
            host: life.host,
            stage: 'copy',
            done_bytes: event.doneBytes,
            path_bytes: event.pathBytes,
            ...(event.totalBytes === undefined ? {} : { total_bytes: event.totalBytes }),
          });
        }
      },
    });
    if (result.ok && name === 'install') checkUse(world, life, copied);
    again = result.ok && name === 'disko';
    return result;
  } finally {
    await world.logins.done(life.host, again);
    keys?.close();
    await folder.remove();
  }
}

/** The files for the new disk, and whose they are. */
async function staged(world: TaskWorld, plan: Plan, folder: RunFolder, signal: AbortSignal) {
  const tools = world.tools ?? realTools;
  const hostKey = await tools.installedHostKey(world.stateDir, plan.host.name, world.keygen);
  const staging = await tools.stageExtraFiles(join(folder.staged, 'extra'), {
    hostKey,
    proofKey: world.proofKey.publicKey,
  });
  const owners = (await world.secrets?.stage(plan.host, staging.path, folder, signal)) ?? [];
  return { extraFiles: staging.path, owners };
}
