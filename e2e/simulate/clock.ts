// Time that passes only when nothing is left to do. Everything that is due runs alone: its promises and streams come to rest before the next.

interface Alarm {
  readonly at: number;
  readonly number: number;
  call: (() => void) | undefined;
}

/** Where the story begins: 2026-01-01 in UTC. */
const beginning = Date.UTC(2026, 0, 1);

export class Clock {
  #now = 0;
  #number = 0;
  #live = 0;
  #fired = 0;
  #jumped = 0;
  readonly #heap: Alarm[] = [];

  /** Milliseconds since the beginning; never goes back. */
  get ticks(): number {
    return this.#now;
  }

  /** Milliseconds since 1970 as the computer's clock on the wall says, which may jump. */
  get wall(): number {
    return beginning + this.#now + this.#jumped;
  }

  get pending(): number {
    return this.#live;
  }

  get fired(): number {
    return this.#fired;
  }

  /** Somebody sets the clock on the wall. */
  jump(milliseconds: number): void {
    this.#jumped += milliseconds;
  }

  /** Calls back once; the result calls it off. */
  after(milliseconds: number, call: () => void): () => void {
    const alarm: Alarm = { at: this.#now + Math.max(0, milliseconds), number: this.#number++, call };
    this.#push(alarm);
    this.#live++;
    return () => {
      if (alarm.call === undefined) return;
      alarm.call = undefined;
      this.#live--;
    };
  }

  /** Resolves after so many milliseconds or at the signal, whichever is first. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const end = () => {
        off();
        signal?.removeEventListener('abort', end);
        resolve();
      };
      const off = this.after(milliseconds, end);
      signal?.addEventListener('abort', end, { once: true });
    });
  }

  /** Lets time pass until `over` says so, nothing is left, or it is so late. */
  async run(over: () => boolean, latest: number): Promise<void> {
    await rest();
    while (!over()) {
      const alarm = this.#pop();
      if (alarm === undefined || alarm.at > latest) return;
      const { call } = alarm;
      if (call === undefined) continue;
      alarm.call = undefined;
      this.#live--;
      this.#now = alarm.at;
      this.#fired++;
      call();
      await rest();
    }
  }

  #push(alarm: Alarm): void {
    const heap = this.#heap;
    let at = heap.push(alarm) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (before(heap[above]!, alarm)) break;
      heap[at] = heap[above]!;
      at = above;
    }
    heap[at] = alarm;
  }

  #pop(): Alarm | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && before(heap[below + 1]!, heap[below]!)) below++;
      if (before(last, heap[below]!)) break;
      heap[at] = heap[below]!;
      at = below;
    }
    heap[at] = last;
    return first;
  }
}

function before(a: Alarm, b: Alarm): boolean {
  return a.at < b.at || (a.at === b.at && a.number < b.number);
}

/** After all promises and ticks that are under way. */
function rest(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
