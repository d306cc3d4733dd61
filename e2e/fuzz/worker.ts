// One target in a thread of its own: what never ends, and what eats all memory, ends only this thread.
import { parentPort, workerData } from 'node:worker_threads';
import { loadTarget, readCorpus } from './corpus.ts';
import { Coverage } from './coverage.ts';
import { hunt } from './hunt.ts';

export interface Work {
  readonly name: string;
  readonly seed: number;
  readonly forMs: number;
  /** Number of inputs begun and length of the last one, then the input itself. */
  readonly shared: SharedArrayBuffer;
}

export const sharedHead = 8;

if (parentPort !== null) {
  const { name, seed, forMs, shared } = workerData as Work;
  const head = new Int32Array(shared, 0, 2);
  const room = new Uint8Array(shared, sharedHead);
  const before = (input: Uint8Array): void => {
    const length = Math.min(input.length, room.length);
    room.set(length === input.length ? input : input.subarray(0, length));
    head[1] = length;
    Atomics.add(head, 0, 1);
  };
  const coverage = new Coverage();
  const result = await hunt(await loadTarget(name), { corpus: readCorpus(name), seed, coverage, forMs, before });
  coverage.close();
  parentPort.postMessage(result);
}
