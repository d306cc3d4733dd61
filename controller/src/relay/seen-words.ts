// What the relay's front doors saw, on its way to the controller: in batches, each with its time.
import type { RelaySeen, SeenOne } from '@nixie/proto/relay';
import { type Seen, SeenQueue } from '../listen/seen.ts';

export function seenOne(seen: Seen, unixMs: number): SeenOne {
  const { kind, mac = '', machine = '', address = '', why = '', detail = '', asked = '', client = '' } = seen;
  const { port = 0, server = '', giaddr = '', done, total, blockSize, again, stranger } = seen;
  return {
    kind,
    mac,
    machine,
    interface: seen.interface ?? '',
    address,
    why,
    detail,
    asked,
    client,
    port,
    server,
    done,
    total,
    blockSize,
    again,
    unixMs: BigInt(Math.round(unixMs)),
    giaddr,
    stranger:
      stranger === undefined
        ? undefined
        : {
            architecture: stranger.architecture ?? '',
            vendorClass: stranger.vendorClass ?? '',
            uuid: stranger.uuid ?? '',
          },
  };
}

const batchEveryMs = 100;

export interface SeenWorld {
  /** Milliseconds of a clock that nobody sets. */
  ticks(): number;
  /** Milliseconds since 1970. */
  now(): number;
  after(ms: number, call: () => void): () => void;
  say(batch: RelaySeen): void;
}

/** Collects what is seen; strangers get a small share only. */
export class SeenBatches {
  readonly #queue = new SeenQueue();
  readonly #at: number[] = [];
  readonly #world: SeenWorld;
  #off: (() => void) | undefined;
  #dropped = 0;

  constructor(world: SeenWorld) {
    this.#world = world;
  }

  get dropped(): number {
    return this.#dropped;
  }

  push(seen: Seen): void {
    const before = this.#queue.length;
    this.#queue.push(seen, this.#world.ticks());
    if (this.#queue.length > before) this.#at.push(this.#world.now());
    this.#off ??= this.#world.after(batchEveryMs, () => this.flush());
  }

  flush(): void {
    this.#off?.();
    this.#off = undefined;
    const batch = this.#queue.take();
    if (batch === undefined) return;
    const at = this.#at.splice(0);
    this.#dropped += batch.dropped;
    if (batch.seen.length > 0) this.#world.say({ seen: batch.seen.map((seen, index) => seenOne(seen, at[index]!)) });
  }
}
