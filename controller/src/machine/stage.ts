// The stages of a machine's life in the order in which they are passed. What leads from one to the next is in life.ts.

/** On the way. */
export const waySteps = [
  'planned', // in the hosts file, nothing known yet
  'probing', // is it up and proved to run its system already?
  'waking', // magic packets are sent; nothing heard yet
  'firmware', // its firmware asked for an address or a boot file
  'loading', // it fetched its boot script, kernel or initrd
  'registered', // its agent is here, token and MAC agree
  'preflight', // disks are looked at before anything is written
  'disko', // partitioning
  'copy', // closure is copied
  'install', // nixos-install and boot loader
  'restarting', // two tries failed: its installer is booted afresh, and all begins again there, once
  'rebooting', // from here on it is never offered the installer again
  'proving', // the installed system is looked for and asked what it runs
] as const;

/** Ends. */
export const ends = [
  'proved', // runs the system that was built, shown by its host key and its own word
  'unproved', // installed and answered with the placed host key, but there was no way in to ask it
  'skipped', // was proved to run its system before anything was done
  'doubtful', // answers, but can't be proved; nothing was done
  'refused', // nothing was written: a disk holds data, or the machine isn't what was expected
  'failed',
] as const;

export type WayStep = (typeof waySteps)[number];
export type End = (typeof ends)[number];
export type Stage = WayStep | End;

export function isEnd(stage: Stage): stage is End {
  return (ends as readonly string[]).includes(stage);
}
