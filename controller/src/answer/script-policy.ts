// Who gets which boot script. One function for all who give scripts out, so that they can't come to differ.
import type { Mac } from '../machine/mac.ts';
import type { BootOffer } from './scene.ts';

/** All that it depends on. */
export interface ScriptCase {
  /** MAC that the neighbour table has for the asker's address. Undefined: none; `foreign`: the address is beyond a router, where nobody sees MACs. */
  readonly seen: Mac | 'foreign' | undefined;
  /** All MACs of the machine. */
  readonly macs: readonly Mac[];
  /** `wait`: its installer runs. */
  readonly offer: BootOffer | 'wait';
  /** It is to be of the run no more. */
  readonly leaving: boolean;
  /** There is an installer for its system. */
  readonly hasInstaller: boolean;
  /** Scripts with a token that it was given in the last `loopWindowMs`. */
  readonly fetchedLately: number;
  /** There is a token to give. */
  readonly hasToken: boolean;
}

export type ScriptVerdict =
  | 'stranger' // the asker isn't the machine that has this MAC
  | 'leaving'
  | 'not-ready'
  | 'local'
  | 'no-installer'
  | 'installer-runs' // it has to wait
  | 'loop' // it boots in a circle, and is handed over to its disk
  | 'no-token' // it has to wait
  | 'installer';

/** Ten minutes, in milliseconds. */
export const loopWindowMs = 600_000;
/** Boots of the installer in that time; the next one shows that it boots in a circle. */
export const mostBoots = 6;

export function whichScript(about: ScriptCase): ScriptVerdict {
  const { seen, macs, offer } = about;
  if (seen !== 'foreign' && (seen === undefined || !macs.includes(seen))) return 'stranger';
  if (about.leaving) return 'leaving';
  if (offer === 'silent') return 'not-ready';
  if (offer === 'local') return 'local';
  if (!about.hasInstaller) return 'no-installer';
  // One machine has one MAC: while its installer runs, nobody else gets a token for it. It may also be itself, started anew a moment ago.
  if (offer === 'wait') return 'installer-runs';
  if (about.fetchedLately >= mostBoots) return 'loop';
  return about.hasToken ? 'installer' : 'no-token';
}

/** What an asker hears that gets no script. */
export const scriptRefusals = {
  unknown: 'no machine of this run has this MAC',
  stranger: 'this script is for the machine that has this MAC',
  leaving: 'this machine is not of this run any more',
} as const;

/** When machines were given scripts with a token: firmware that boots in a circle. Bounded by `most` machines, the oldest forgotten first. */
export class BootCount {
  readonly #at = new Map<string, number[]>();
  readonly #most: number;

  constructor(most = 10_000) {
    this.#most = most;
  }

  /** In the last `loopWindowMs`. @param now milliseconds of a clock that nobody sets */
  lately(machine: string, now: number): number {
    return this.#recent(machine, now).length;
  }

  add(machine: string, now: number): void {
    const recent = this.#recent(machine, now);
    this.#at.delete(machine);
    this.#at.set(machine, [...recent, now].slice(-mostBoots));
    if (this.#at.size > this.#most) this.#at.delete(this.#at.keys().next().value!);
  }

  forget(machine: string): void {
    this.#at.delete(machine);
  }

  #recent(machine: string, now: number): number[] {
    return (this.#at.get(machine) ?? []).filter((at) => now - at < loopWindowMs);
  }
}
