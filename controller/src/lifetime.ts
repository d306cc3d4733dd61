// One part ends, all end: what was opened is closed again, the last first, and whoever waits hears of the operator's signal or of the part that broke.
import { sleep } from './clock.ts';

type Close = () => Promise<unknown> | unknown;

/** What a part may take to close, milliseconds. */
const closeMs = 7000;

export class Lifetime {
  readonly signal: AbortSignal;
  /** Resolves at the signal. */
  readonly stopped: Promise<void>;
  readonly #broken = Promise.withResolvers<never>();
  readonly #closers: Close[] = [];
  readonly #closeMs: number;

  /** @param patienceMs what each part may take to close */
  constructor(signal: AbortSignal, patienceMs = closeMs) {
    this.signal = signal;
    this.#closeMs = patienceMs;
    // Whoever waits later hears of it then.
    this.#broken.promise.catch(() => undefined);
    this.stopped = new Promise((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }

  /** A part is open: it is closed with this, after all that is opened later. */
  opened(close: Close): void {
    this.#closers.push(close);
  }

  /** A part that all need has ended. */
  broke = (error: Error): void => this.#broken.reject(error);

  /** Resolves with what is waited for, or at the signal; rejects when a part that all need has ended. */
  async until(what?: Promise<unknown>): Promise<void> {
    await Promise.race([...(what === undefined ? [] : [what]), this.stopped, this.#broken.promise]);
  }

  /** One after the other. What can't be closed, or takes too long, is left behind: the others have to be closed as well. */
  async close(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await Promise.race([closed(close), sleep(this.#closeMs)]);
  }
}

async function closed(close: Close): Promise<void> {
  try {
    await close();
  } catch {
    // It is going anyway.
  }
}
