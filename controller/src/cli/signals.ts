// SIGINT, SIGTERM, SIGHUP: the first asks for an orderly end, the second ends at once. A service takes SIGHUP for something else.
import type { StopSignal } from './exit-codes.ts';

export interface SignalSource {
  on(signal: StopSignal, listener: () => void): unknown;
  off(signal: StopSignal, listener: () => void): unknown;
}

export interface OnSignal {
  first(signal: StopSignal): void;
  second(signal: StopSignal): void;
  /** What SIGHUP asks for, each time. Absent: to end. */
  reload?(): void;
}

const signals: readonly StopSignal[] = ['SIGHUP', 'SIGINT', 'SIGTERM'];
/**
 * Ctrl-C reaches the whole foreground group, and a launcher passes its copy on; so do `timeout` and systemd with SIGTERM. Such doubles come
 * within milliseconds; nobody presses a key twice that fast.
 */
const sameSignalMs = 250;

/** Listens until the result is called. `now` in milliseconds. */
export function watchSignals(source: SignalSource, now: () => number, on: OnSignal): () => void {
  let count = 0;
  let last: { signal: StopSignal; at: number } | undefined;
  const listeners = signals.map((signal) => {
    const listener = () => {
      if (signal === 'SIGHUP' && on.reload !== undefined) {
        on.reload();
        return;
      }
      const at = now();
      const double = last?.signal === signal && at - last.at < sameSignalMs;
      if (double) return;
      last = { signal, at };
      count += 1;
      if (count === 1) on.first(signal);
      else on.second(signal);
    };
    source.on(signal, listener);
    return { signal, listener };
  });
  return () => {
    for (const { signal, listener } of listeners) source.off(signal, listener);
  };
}
