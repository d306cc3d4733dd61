// What the relay has to say to its controller, while it can and while it can't. Observations and scripts are kept, numbered, until the controller
// has said that it has them; all else is of the moment, and of no use later.
import type { FromRelay } from '@nixie/proto/relay';

export type Said = NonNullable<FromRelay['message']>;

/** Observations that are kept at most, and scripts. */
const mostKept = 20_000;
/** Other messages that wait for a slow uplink. */
const mostWaiting = 1000;

/** That a machine has to wait is said again when it asks again. */
const isKept = (said: Said): boolean =>
  said.$case === 'seen' || (said.$case === 'script' && said.value.verdict !== 'crowded');
const weight = (said: Said): number => (said.$case === 'seen' ? Math.max(1, said.value.seen.length) : 1);

/** Words of the moment that a newer one makes worthless. */
function superseding({ $case, value }: Said): string | undefined {
  if ($case === 'status' || $case === 'planTaken' || $case === 'pong') return $case;
  if ($case === 'script') return `script ${value.machine}`;
  // Each response ends once, and that must be told.
  if ($case === 'file' && !value.ended) return `file ${value.address} ${value.file}`;
  return undefined;
}

export class Outbox {
  #kept: { number: bigint; said: Said }[] = [];
  #keptWeight = 0;
  /** Of `#kept`, how many were handed to the link of now. */
  #handed = 0;
  #moment: { key: string | undefined; said: Said }[] = [];
  #last = 0n;
  #dropped = 0;
  #up = false;

  /** Observations that found no room, and never reach the controller. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Observations and scripts that the controller doesn't have yet. */
  get kept(): number {
    return this.#keptWeight;
  }

  push(said: Said): void {
    if (isKept(said)) {
      this.#kept.push({ number: ++this.#last, said });
      this.#keptWeight += weight(said);
      while (this.#keptWeight > mostKept && this.#kept.length > 1) this.#dropOldest();
      return;
    }
    if (!this.#up) return;
    const key = superseding(said);
    const older = key === undefined ? -1 : this.#moment.findIndex((each) => each.key === key);
    if (older >= 0) this.#moment.splice(older, 1);
    this.#moment.push({ key, said });
    if (this.#moment.length > mostWaiting) {
      // How far somebody is with a file is told again soon; whoever has asked something waits for the answer.
      const progress = this.#moment.findIndex((each) => each.said.$case === 'file' && !each.said.value.ended);
      this.#moment.splice(Math.max(0, progress), 1);
      this.#dropped++;
    }
  }

  /** What is said next on the link of now; undefined: nothing waits. */
  take(): FromRelay | undefined {
    if (!this.#up) return undefined;
    const now = this.#moment.shift();
    if (now !== undefined) return { number: 0n, message: now.said };
    const next = this.#kept[this.#handed];
    if (next === undefined) return undefined;
    this.#handed++;
    return { number: next.number, message: next.said };
  }

  /** The controller has all up to this number. */
  heard(number: bigint): void {
    while (this.#kept[0] !== undefined && this.#kept[0].number <= number) {
      this.#keptWeight -= weight(this.#kept.shift()!.said);
      this.#handed = Math.max(0, this.#handed - 1);
    }
  }

  /** A link is there: what isn't known to have arrived is said again. */
  up(): void {
    this.#up = true;
    this.#handed = 0;
  }

  down(): void {
    this.#up = false;
    this.#moment = [];
  }

  /** Observations go first, then scripts without a token; those with one tell that it is used. */
  #dropOldest(): void {
    const observation = this.#kept.findIndex(({ said }) => said.$case === 'seen');
    const at =
      observation >= 0
        ? observation
        : Math.max(
            0,
            this.#kept.findIndex(({ said }) => said.$case === 'script' && said.value.token === ''),
          );
    const [gone] = this.#kept.splice(at, 1);
    this.#keptWeight -= weight(gone!.said);
    this.#dropped += weight(gone!.said);
    if (at < this.#handed) this.#handed--;
  }
}
