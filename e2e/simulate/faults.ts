// What may go wrong, and how much of it happens in a run.
import type { Random } from './random.ts';

/** Of one machine. */
export const faultKinds = [
  'wakes late', // the first rounds of magic packets are lost
  'never answers',
  'not looked for twice', // who is there can't be said at first
  'never looked for',
  'reset in firmware',
  'reset while loading',
  'reset when registered',
  'reset in disko',
  'reset in copy',
  'reset in install',
  'reset after the install',
  'agent lost',
  'agent deaf', // its session lives, but it carries nothing out
  'answer to registration lost',
  'disko fails once',
  'disko fails twice',
  'disk busy',
  'disk missing in disko',
  'login refused',
  'sshd gone',
  'connection lost in copy',
  'no space',
  'copy fails once',
  'copy silent',
  'install fails once',
  'install fails twice',
  'disko fails until a fresh boot',
  'copy fails until a fresh boot',
  'install fails until a fresh boot',
  'disks held until a fresh boot', // disko fails, and what holds its disks can't be ended
  'install fails in every boot',
  'image incomplete',
  'path missing',
  'not started',
  'another machine at the address',
  'disko hangs',
  'install hangs',
  'does not reboot',
  'link cut at the reboot',
  'wrong disk',
  'unreadable disk',
  'removable disk',
  'disk swapped after registration',
  'disk swapped before the link',
  'stranger asks for the script',
  'token replayed',
  'another machine claims its MAC',
  'token of another machine',
  'registration with a wrong MAC',
  'link down in firmware',
  'link down while loading',
  'link down in disko',
  'link down in copy',
  'link down in install',
  'link down at the reboot',
  'boots another system',
  'shows another key',
  'lets nobody in',
  'does not come up',
  'cancelled by the operator',
  'retried by the operator',
] as const;
export type FaultKind = (typeof faultKinds)[number];

/** What befalls a machine; each happens as often as its kind says, mostly once. */
export class Fate {
  readonly kinds: ReadonlySet<FaultKind>;
  readonly #left: Map<FaultKind, number>;
  readonly #told: (kind: FaultKind) => void;

  constructor(kinds: readonly FaultKind[], told: (kind: FaultKind) => void) {
    this.kinds = new Set(kinds);
    this.#left = new Map(kinds.map((kind) => [kind, kind.endsWith('twice') ? 2 : 1]));
    this.#told = told;
  }

  /** Does it happen now? Then it happens once less later. */
  strikes(kind: FaultKind): boolean {
    const left = this.#left.get(kind) ?? 0;
    if (left === 0) return false;
    this.#left.set(kind, left - 1);
    this.#told(kind);
    return true;
  }

  /** A fault that lasts. */
  has(kind: FaultKind): boolean {
    if (!this.kinds.has(kind)) return false;
    if (this.#left.get(kind) === 1) this.strikes(kind);
    return true;
  }
}

/** `rate` of the machines have a fault, some of them two. */
export function fateOf(random: Random, rate: number): FaultKind[] {
  if (!random.chance(rate)) return [];
  const kinds = [random.pick(faultKinds)];
  if (random.chance(0.3)) kinds.push(random.pick(faultKinds));
  return [...new Set(kinds)];
}
