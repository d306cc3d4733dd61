// Before the install: is the machine what its recorded inventory says? What differs is told; with --strict-hardware it is a reason not to install.
import type { Inventory } from '@nixie/proto/inventory';
import { hardwareDifferences } from '../machine/hardware.ts';
import type { Host } from '../machine/host.ts';
import { iso } from './core.ts';
import type { TaskWorld } from './task-world.ts';

/** What was recorded of a machine. */
export interface Recorded {
  /** The file, as the operator would look for it. */
  readonly file: string;
  readonly inventory: Inventory;
}

/** @returns reasons to refuse it */
export async function checkHardware(
  world: Pick<TaskWorld, 'recorded' | 'strictHardware' | 'emit' | 'now'>,
  host: Host,
  now: Inventory,
): Promise<string[]> {
  let recorded: Recorded | undefined;
  try {
    recorded = await world.recorded?.(host);
  } catch (error) {
    return tell(world, host, [(error as Error).message]);
  }
  if (recorded === undefined)
    return world.strictHardware === true ? ['its hardware is not recorded, and --strict-hardware was given'] : [];
  const differences = hardwareDifferences(recorded.inventory, now);
  if (differences.length === 0) return [];
  const shown = differences.slice(0, most);
  if (differences.length > most) shown.push(`${differences.length - most} more`);
  return tell(world, host, [`its hardware is not that of ${recorded.file}: ${shown.join('; ')}`]);
}

/** Differences that are told one by one. */
const most = 20;

function tell(
  { strictHardware, emit, now }: Pick<TaskWorld, 'strictHardware' | 'emit' | 'now'>,
  host: Host,
  texts: string[],
): string[] {
  if (strictHardware === true) return texts;
  for (const text of texts) emit({ event: 'notice', at: iso(now()), host: host.name, level: 'warning', text });
  return [];
}
