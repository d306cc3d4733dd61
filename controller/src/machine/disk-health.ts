// What disks say of their own health (SMART). It is told and decides nothing: whether to write to a disk that fails is the operator's to say. Pure.
import type { Disk, Inventory } from '@nixie/proto/inventory';
import { diskIdentity } from './disks.ts';
import { describe } from './root-disk.ts';

/** Sentences about one machine. */
const most = 8;

/** A sentence for each disk that says it fails. */
export function failingDisks({ disks }: Inventory): string[] {
  return atMost(disks.filter(fails).map(sentence));
}

/**
 * @param targets disks that are going to be written to, as they were read just now, which tells nothing of health
 * @param full told at length, in this boot or an earlier one, when names may have been others; undefined: nothing was
 */
export function failingTargets(targets: readonly Disk[], full: Inventory | undefined): string[] {
  const failing = new Set((full?.disks ?? []).filter(fails).flatMap((disk) => diskIdentity(disk) ?? []));
  const ill = targets.filter((disk) => failing.has(diskIdentity(disk) ?? ''));
  return atMost(ill.map((disk) => `${sentence(disk)}, and is going to be installed on`));
}

function atMost(texts: readonly string[]): string[] {
  const more = texts.length - most;
  return more > 0 ? [...texts.slice(0, most), `${more} more of its disks say so`] : [...texts];
}

/** It says so of itself. */
export const fails = ({ health }: Disk) => health?.verdict === 'fail';
const sentence = (disk: Disk) => `its disk ${describe(disk)} says that it fails (SMART)`;
