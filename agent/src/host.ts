// What the agent needs from the machine it runs on, so that tests can put something else there.
import { setTimeout as wait } from 'node:timers/promises';
import { hrMs } from './machine-clock.ts';

export interface Clock {
  /** Milliseconds since 1970; may be wrong by years. */
  now(): number;
  /** Monotonic milliseconds. */
  ticks(): number;
  random(): number;
  /** Resolves early, without an error, when the signal fires. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const realClock: Clock = {
  now: () => Date.now(),
  ticks: hrMs,
  random: () => Math.random(),
  sleep: (ms, signal) => wait(ms, undefined, { signal }).catch(() => {}),
};

/** Lines for people: stderr (the unit's journal), the log that goes to the controller, and for `loud` ones the console. */
export interface Log {
  info(text: string): void;
  /** For the person in front of the machine. */
  loud(text: string): void;
}
