// So many at once, the others in the order in which they came.

export class Turns {
  readonly #most: number;
  readonly #waiting: (() => void)[] = [];
  #busy = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /**
   * @param wait called when it must wait; its result is called when the waiting is over
   * @throws when the signal comes first
   */
  async run<T>(call: () => Promise<T>, signal: AbortSignal, wait: () => () => void): Promise<T> {
    if (this.#busy < this.#most) this.#busy++;
    else {
      const release = wait();
      const turn = Promise.withResolvers<void>();
      this.#waiting.push(turn.resolve);
      const off = () => {
        const at = this.#waiting.indexOf(turn.resolve);
        if (at < 0) return;
        this.#waiting.splice(at, 1);
        turn.reject(new Error('called off'));
      };
      signal.addEventListener('abort', off, { once: true });
      await turn.promise;
      signal.removeEventListener('abort', off);
      release();
    }
    try {
      return await call();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#busy--;
      else next();
    }
  }
}
