// Copies share the wire: so many at once, the others in their turn. A machine that waits for its turn doesn't lose patience, and one that is
// called off doesn't wait for it.
import pLimit from 'p-limit';

export type InTurn = (call: () => Promise<void>, host: string, signal: AbortSignal) => Promise<void>;

/** @param hold stops the clock of a machine's stage; its result lets it begin anew */
export function makeTurns(jobs: number, hold: (host: string) => () => void): InTurn {
  const limit = pLimit(jobs);
  return async (call, host, signal) => {
    const release = hold(host);
    let begun = false;
    const turn = limit(async () => {
      if (signal.aborted) return;
      begun = true;
      release();
      await call();
    });
    await new Promise<void>((resolve, reject) => {
      const leave = () => {
        if (!begun) resolve();
      };
      if (signal.aborted) return resolve();
      signal.addEventListener('abort', leave, { once: true });
      turn.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave));
    });
  };
}
