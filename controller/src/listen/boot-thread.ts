// One thread of the boot server, seen from the rest of the program: it is asked and answers, it tells what it sees, and it may end by itself.
import { Worker } from 'node:worker_threads';
import type { BootThreadData, FromThread, ToThread } from './boot-messages.ts';

type Unnumbered<Message> = Message extends unknown ? Omit<Message, 'id'> : never;

export interface BootThread {
  /** Its doors are open. Rejects when it can't, or isn't so within a minute. */
  readonly ready: Promise<void>;
  /** Rejects when it ended, or says nothing for ten seconds. */
  ask(message: Unnumbered<ToThread>): Promise<FromThread>;
  end(): Promise<void>;
}

export interface BootThreadOptions {
  readonly data: BootThreadData;
  /** A bundle has it elsewhere. */
  readonly file: URL | undefined;
  readonly onSeen: (batch: Extract<FromThread, { kind: 'seen' }>) => void;
  /** It ended by itself after it was ready; nobody ends it twice. */
  readonly onFailure: (error: Error) => void;
}

const answerWithinMs = 10_000;
/** Reading and compiling its program has taken more than ten seconds on a computer that was just starting everything else, too. */
const readyWithinMs = 60_000;

export function startBootThread({ data, file, onSeen, onFailure }: BootThreadOptions): BootThread {
  const worker = new Worker(file ?? new URL('./boot-worker.ts', import.meta.url), {
    workerData: data,
    resourceLimits: { maxOldGenerationSizeMb: 512 },
  });
  let nextId = 1;
  let isReady = false;
  let ending = false;
  let failure: Error | undefined;
  const waiting = new Map<number, { resolve: (value: FromThread) => void; reject: (error: Error) => void }>();

  /** Id 0 is the thread's word that it is ready. */
  const answerOf = (id: number, withinMs = answerWithinMs): Promise<FromThread> =>
    new Promise((resolve, reject) => {
      if (failure) {
        reject(failure);
        return;
      }
      const timer = setTimeout(() => {
        waiting.delete(id);
        reject(new Error(`boot thread: no answer within ${withinMs} ms`));
      }, withinMs);
      waiting.set(id, {
        resolve: (value) => {
          clearTimeout(timer);
          resolve(value);
        },
        reject: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      });
    });

  const fail = (error: Error): void => {
    if (failure) return;
    failure = error;
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
    if (isReady && !ending) onFailure(error);
  };
  worker.on('error', (error) => fail(new Error('boot thread failed', { cause: error })));
  worker.on('exit', (code) => fail(new Error(`boot thread ended with ${code}`)));
  worker.on('message', (message: FromThread) => {
    if (message.kind === 'seen') {
      onSeen(message);
      return;
    }
    waiting.get(message.id)?.resolve(message);
    waiting.delete(message.id);
  });

  return {
    ready: answerOf(0, readyWithinMs).then(() => {
      isReady = true;
    }),
    ask(message) {
      const id = nextId++;
      const answer = answerOf(id);
      if (!failure) worker.postMessage({ ...message, id } as ToThread);
      return answer;
    },
    async end() {
      ending = true;
      await worker.terminate();
    },
  };
}
