// Keeps the part that answers firmware at what is decided now. Machines move by the hundred; only the newest scene is worth sending.

/** A send that got no answer is repeated so often before the run is given up. */
const tries = 3;

export class Answers<Scene> {
  readonly #make: () => Scene;
  readonly #send: (scene: Scene) => Promise<void>;
  readonly #onFailure: (error: Error) => void;
  readonly #waiting = new Set<{ version: number; resolve: () => void; reject: (error: Error) => void }>();
  #wanted = 0;
  #sent = 0;
  #working = false;
  #failure: Error | undefined;

  /** @param onFailure what is decided doesn't reach firmware any more */
  constructor(make: () => Scene, send: (scene: Scene) => Promise<void>, onFailure: (error: Error) => void) {
    this.#make = make;
    this.#send = send;
    this.#onFailure = onFailure;
  }

  /** Something was decided that may change answers. */
  changed(): void {
    this.#wanted++;
    if (!this.#working && this.#failure === undefined) void this.#work();
  }

  /** Resolves when firmware is answered by all that was decided until now. */
  current(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#sent >= this.#wanted) return Promise.resolve();
    return new Promise((resolve, reject) => void this.#waiting.add({ version: this.#wanted, resolve, reject }));
  }

  async #work(): Promise<void> {
    this.#working = true;
    // What happens in the same moment goes together.
    await Promise.resolve();
    for (let failed = 0; this.#sent < this.#wanted; ) {
      const version = this.#wanted;
      try {
        await this.#send(this.#make());
      } catch (error) {
        if (++failed < tries) continue;
        this.#failure = error as Error;
        for (const { reject } of this.#waiting) reject(this.#failure);
        this.#waiting.clear();
        this.#onFailure(this.#failure);
        return;
      }
      failed = 0;
      this.#sent = version;
      for (const waiter of this.#waiting)
        if (waiter.version <= version && this.#waiting.delete(waiter)) waiter.resolve();
    }
    this.#working = false;
  }
}
