// The disk that the hints of a host mean, on its way from the last look to disko.
import type { Disk } from '@nixie/proto/inventory';
import type { PhaseResult } from '../install/run.ts';
import type { TargetDisk } from '../machine/event.ts';
import type { Life } from '../machine/life.ts';
import { hintedDevice, resolveRootDisk } from '../machine/root-disk.ts';
import type { Plan, TaskWorld } from './task-world.ts';

const linkMs = 60_000;

/** As it is told. */
export function targetDisk(disk: Disk, hinted: Disk | undefined): TargetDisk {
  const { path, sizeBytes, model, serial, wwn } = disk;
  return {
    path,
    size_bytes: Number(sizeBytes),
    ...(model ? { model } : {}),
    ...(serial ? { serial } : {}),
    ...(wwn ? { wwn } : {}),
    ...(disk === hinted ? { link: hintedDevice } : {}),
  };
}

/**
 * Has the agent make the link by which the layout finds the disk that was judged, before each run of disko. It looks at the disks once more.
 * @param untouched nothing was written yet: a disk that was blank still must be
 * @returns undefined when it is made, or not needed; otherwise what stands for the phase: its agent could not be reached, which may pass
 * @throws when the disk isn't what it was
 */
export async function linkHinted(
  world: Pick<TaskWorld, 'agents' | 'inventory'>,
  plan: Plan,
  life: Life,
  untouched: boolean,
): Promise<PhaseResult | undefined> {
  if (plan.host.disk === undefined) return undefined;
  const found = resolveRootDisk(plan.host, world.inventory(life.host)?.disks ?? []);
  if (!found.ok) throw new Error(found.reason);
  const { path, sizeBytes, serial, wwn, byPath, hasData } = found.disk;
  const value = { path, sizeBytes, serial, wwn, byPath, blank: untouched && hasData === false };
  const what = `make ${hintedDevice} lead to ${path}`;
  const answer = await world.agents
    .instruct(life.host, { $case: 'linkDisk', value }, linkMs)
    .catch((error: Error) => error);
  if (answer instanceof Error) {
    const sentence = `${what}: ${answer.message}`;
    return { ok: false, cause: 'unreachable', sentence, step: 'disko', seconds: 0, tail: [] };
  }
  if (!answer.ok) throw new Error(`${what}: ${answer.error || 'its agent failed'}`);
  return undefined;
}
