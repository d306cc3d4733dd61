// A program of ours in a namespace that is spoken to in lines of JSON, one answer for each request, and unasked lines besides.
import { setTimeout as sleep } from 'node:timers/promises';
import { type Child, start } from '../child.ts';
import { patienceMs, until } from '../patience.ts';

export interface Talker {
  readonly child: Child;
  /** Lines that are no answer, in order. */
  readonly heard: Record<string, unknown>[];
  ask(request: object): Promise<Record<string, unknown>>;
  /** Waits for an unasked line; takes it out of `heard`. */
  hear(
    what: string,
    matches: (line: Record<string, unknown>) => boolean,
    withinMs?: number,
  ): Promise<Record<string, unknown>>;
  stop(): Promise<void>;
}

/** The end of its input ends it; the deadline is for one that doesn't see that. */
export async function startTalker(argv: readonly string[], deadlineMs = 1_800_000): Promise<Talker> {
  const heard: Record<string, unknown>[] = [];
  const answers: ((line: Record<string, unknown>) => void)[] = [];
  const errors: string[] = [];
  const hearers = new Set<() => void>();
  const child = start(argv, {
    deadlineMs,
    stdin: 'pipe',
    onLine: (text, from) => {
      if (from === 'err') {
        errors.push(text);
        return;
      }
      const line = JSON.parse(text) as Record<string, unknown>;
      if ('answer' in line) answers.shift()?.(line);
      else {
        heard.push(line);
        for (const look of [...hearers]) look();
      }
    },
  });
  const within = <T>(what: string, ms: number, wait: Promise<T>): Promise<T> => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(
        () => reject(new Error(`${what}: nothing within ${ms} ms; ${errors.slice(-3).join(' | ')}`)),
        ms,
      );
    });
    return Promise.race([wait, late]).finally(() => clearTimeout(timer));
  };
  const ask = (request: object): Promise<Record<string, unknown>> =>
    within(
      `ask ${JSON.stringify(request).slice(0, 60)}`,
      patienceMs,
      new Promise((resolve) => {
        answers.push(resolve);
        child.write(`${JSON.stringify(request)}\n`);
      }),
    );
  const hear: Talker['hear'] = (what, matches, withinMs = patienceMs) => {
    const line = Promise.withResolvers<Record<string, unknown>>();
    const look = (): void => {
      const at = heard.findIndex(matches);
      if (at < 0) return;
      hearers.delete(look);
      line.resolve(heard.splice(at, 1)[0]!);
    };
    hearers.add(look);
    look();
    // Who no longer listens must not take the line from the next one who does.
    return within(what, withinMs, line.promise).finally(() => hearers.delete(look));
  };
  try {
    await within(
      `start ${argv.at(-2)}`,
      patienceMs,
      Promise.race([
        hear('ready', (line) => line.ready === true),
        child.exited.then(() => Promise.reject(new Error(`ended at once: ${errors.join(' | ')}`))),
      ]),
    );
  } catch (error) {
    await child.stop();
    throw error;
  }
  return {
    child,
    heard,
    ask,
    hear,
    async stop() {
      child.endInput();
      await child.stop();
    },
  };
}

/** All that it hears, and hears no more afterwards: waits for `least` lines, and then for 300 ms in which too many would come. */
export async function quiet(talker: Talker, least = 0): Promise<Record<string, unknown>[]> {
  await until(
    `${least} lines`,
    () => talker.heard.length >= least,
    () => JSON.stringify(talker.heard),
  );
  await sleep(300);
  return talker.heard.splice(0);
}
