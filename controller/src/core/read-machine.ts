// What is done while a machine is in a stage of an inventory-only run: it is read and switched off. There is no way from here to a disk: neither
// tasks nor programs that write are known to this file, and the only instructions it can give are those two.
import type { InstructionResult } from '@nixie/proto/agent';
import type { Inventory } from '@nixie/proto/inventory';
import type { Happening, Life } from '../machine/life.ts';
import { wholeInventory } from '../machine/whole-inventory.ts';
import type { Task } from './core.ts';

/** All that the agent of a machine is ever told. */
export type ReadAction =
  | { readonly $case: 'inspect'; readonly value: Record<string, never> }
  | { readonly $case: 'powerOff'; readonly value: { readonly delayMs: number } };

export interface ReadWorld {
  readonly agents: {
    connected(host: string, deadlineMs: number, signal: AbortSignal, bootId?: string): Promise<void>;
    instruct(host: string, action: ReadAction, deadlineMs: number): Promise<InstructionResult>;
  };
  /** Told at length, some seconds after the session began. */
  full(host: string): Inventory | undefined;
  facter(host: string): Buffer | undefined;
  /** Why its agent has no such report. */
  facterMissing(host: string): string | undefined;
  /** Keeps what was read; the result says where. */
  keep(life: Life, known: { readonly inventory: Inventory; readonly facter: Buffer | undefined }): string;
  tell(host: string, happening: Happening): void;
  sleep(milliseconds: number, signal: AbortSignal): Promise<void>;
  /** Milliseconds of a clock that nobody sets. */
  ticks(): number;
}

const sessionMs = 90_000;
const inspectMs = 60_000;
/** Collectors have their own ends, some seconds each. */
const fullMs = 45_000;
/** nixos-facter looks at every bus, and its agent gives it so long; where there is no report the agent says so. */
const facterMs = 125_000;
const powerMs = 10_000;

export async function readTask(world: ReadWorld, task: Task, life: Life, signal: AbortSignal): Promise<void> {
  switch (task) {
    case 'probe':
      // Nobody is looked for: it asked.
      return world.tell(life.host, { kind: 'found-nobody' });
    case 'wake':
      return;
    case 'preflight':
      return await read(world, life, signal);
    case 'leave':
      await world.agents.instruct(life.host, powerOff, powerMs).catch(() => undefined);
      return;
    default:
      throw new Error(`${task}: this run only reads`);
  }
}

const powerOff: ReadAction = { $case: 'powerOff', value: { delayMs: 0 } };

/** Its end is `refused`: nothing was written to it, and its last task switches it off. */
async function read(world: ReadWorld, life: Life, signal: AbortSignal): Promise<void> {
  const { host, bootId } = life;
  await world.agents.connected(host, sessionMs, signal, bootId);
  world.tell(host, { kind: 'inspecting' });
  const until = async (found: () => boolean, milliseconds: number) => {
    for (const end = world.ticks() + milliseconds; !found() && world.ticks() < end && !signal.aborted; )
      await world.sleep(250, signal);
  };
  const ofThisBoot = () => {
    const full = world.full(host);
    return full?.boot?.bootId === bootId ? full : undefined;
  };
  await until(() => ofThisBoot() !== undefined, fullMs);
  if (signal.aborted) return;
  const looked = await world.agents.instruct(host, { $case: 'inspect', value: {} }, inspectMs);
  if (signal.aborted) return;
  if (!looked.ok) throw new Error(`read it: ${looked.error || 'its agent failed'}`);
  await until(() => world.facter(host) !== undefined || world.facterMissing(host) !== undefined, facterMs);
  if (signal.aborted) return;
  const inventory = wholeInventory(ofThisBoot(), looked.inventory);
  if (inventory === undefined) throw new Error('read it: its agent sent nothing');
  const reason = world.keep(life, { inventory, facter: world.facter(host) });
  world.tell(host, { kind: 'disks-refused', reason });
}
