// Giving memory back. The installer lives in the machine's memory, and so does what is installed before it reaches a disk; V8 keeps what a
// burst of work once needed.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

type Collect = (options: { type: 'major'; execution: 'sync'; flavor: 'last-resort' }) => void;

/** Takes some tens of milliseconds: after a burst, never in an answer. Does nothing where V8 doesn't offer it. */
export function releaseMemory(): void {
  try {
    // V8's own way, d8 and Node's tests use it: the function exists only where the flag is set.
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as Collect;
    collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  } catch {
    // nothing is lost but some memory
  }
}
