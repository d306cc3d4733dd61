// The look at a machine's disks before anything is written: in the pre-flight, and once more right before disko where the way to the agent broke in
// between, or the look was a while ago (a secret was asked for at a terminal, say).
import type { Disk, Inventory } from '@nixie/proto/inventory';
import { diskIdentity, judgeDisks } from '../machine/disks.ts';
import type { Life } from '../machine/life.ts';
import { checkHardware } from './hardware-check.ts';
import type { Plan, TaskWorld } from './task-world.ts';

const inspectMs = 60_000;
/** A look that is older is taken again. */
const freshMs = 5000;

/** What a look was based on. */
export interface Look {
  /** The session of its agent: another number is another connection. */
  readonly session: number | undefined;
  /** Milliseconds of the wall clock. */
  readonly at: number;
  /** What the machine had when it registered. */
  readonly registered: Inventory;
  /** Disks that were written to before this look, by us. */
  readonly begun: ReadonlySet<string> | undefined;
}

/** With what it found. */
export interface FreeLook extends Look {
  readonly targets: readonly Disk[];
}

export type Seen =
  | { readonly free: true; readonly targets: readonly Disk[]; readonly hinted: Disk | undefined }
  | { readonly free: false; readonly reason: string };

/** Has its agent read the disks and judges them. Throws when the agent can't. */
export async function lookAtDisks(world: TaskWorld, plan: Plan, life: Life, look: Look): Promise<Seen> {
  const { host } = plan;
  const { ok, error, inventory } = await world.agents.instruct(life.host, { $case: 'inspect', value: {} }, inspectMs);
  if (!ok) throw new Error(`read the disks: ${error || 'its agent failed'}`);
  if (inventory === undefined) throw new Error('read the disks: the agent sent nothing');
  world.keepInventory(life.host, inventory);
  const reasons: string[] = [];
  const macs = inventory.nics.flatMap((nic) => [nic.mac, nic.permanentMac]);
  if (life.mac === undefined || !macs.includes(life.mac))
    reasons.push(`its agent speaks for ${life.mac ?? 'no MAC'}, but no network card of the machine has it`);
  reasons.push(...(await checkHardware(world, host, inventory)));
  const devices = plan.system.diskDevices;
  const declared = devices === undefined ? undefined : Object.values(devices);
  const verdict = judgeDisks(host, declared, look.registered, inventory, {
    loseData: world.mayLoseData(host),
    usedUp: world.consentIsUsedUp?.(host) === true,
    ...(look.begun === undefined ? {} : { begun: look.begun }),
  });
  if (!verdict.ok) reasons.push(...verdict.reasons);
  if (!verdict.ok || reasons.length > 0) return { free: false, reason: reasons.join('; ') };
  return { free: true, targets: verdict.targets, hinted: verdict.hinted };
}

/**
 * Right before disko: what is going to be written to, as the pre-flight saw it or, if something may have changed since, as it is now. Only here is
 * it noted down that we begin to write: a disk that was free and never written to by us is nobody's to lose later.
 */
export async function lookAgain(world: TaskWorld, plan: Plan, life: Life): Promise<{ refused: string } | undefined> {
  const look = world.looks.get(life.host);
  if (look === undefined) return { refused: 'nobody has looked at its disks' };
  let { targets } = look;
  // More than at the look: disko was cut off, and begins again.
  const begun = world.begun?.get(life.host, life.bootId ?? '') ?? look.begun;
  const again = (begun?.size ?? 0) !== (look.begun?.size ?? 0);
  if (again || look.session !== world.agents.session(life.host) || Math.abs(world.now() - look.at) >= freshMs) {
    const seen = await lookAtDisks(world, plan, life, { ...look, begun });
    if (!seen.free) return { refused: seen.reason };
    targets = seen.targets;
  }
  const blank = targets.filter((disk) => disk.hasData === false).flatMap((disk) => diskIdentity(disk) ?? []);
  world.begun?.set(life.host, life.bootId ?? '', new Set([...(begun ?? []), ...blank]));
  return undefined;
}
