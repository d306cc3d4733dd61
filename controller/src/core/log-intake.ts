// Batches of agents → lines in order and once, whatever was lost on the way and sent again.
import type { LogBatch, LogLine } from '@nixie/proto/agent';

export interface Taken {
  readonly lines: readonly (Pick<LogLine, 'source' | 'text' | 'severity'> & {
    /** By our clock. */
    readonly at: number;
  })[];
  /** Lines that will never come, right before these. */
  readonly lost: number;
  /** What the agent may forget; absent: it didn't ask. */
  readonly next?: bigint;
}

/** No installer runs longer. */
const oldestMs = 30 * 86_400_000;
/** An agent that was started anew is another stream; one or two of them may still be on their way. */
const streamsKept = 2;

export class LogIntake {
  readonly #streams = new Map<string, { readonly stream: bigint; next: bigint }[]>();

  /** @param now milliseconds of our wall clock */
  take(host: string, batch: LogBatch, now: number): Taken {
    const { stream, first, unixMs } = batch;
    const dated = batch.lines.map(({ source, text, severity, unixMs: said }) => {
      const age = unixMs === 0n ? 0 : Number(unixMs - said);
      return { at: now - Math.min(oldestMs, Math.max(0, age)), source, text, severity };
    });
    if (stream === 0n) return { lines: dated, lost: Number(batch.dropped) };
    const next = first + BigInt(dated.length);
    const streams = this.#streams.get(host) ?? [];
    this.#streams.set(host, streams);
    const known = streams.find((each) => each.stream === stream);
    if (known === undefined) {
      streams.push({ stream, next });
      if (streams.length > streamsKept) streams.shift();
      // What went to an earlier life of the controller is not lost; what the agent threw away is.
      return { lines: dated, lost: Number(batch.dropped), next };
    }
    const before = known.next;
    if (next > before) known.next = next;
    return {
      lines: first >= before ? dated : dated.slice(Number(before - first)),
      lost: first > before ? Number(first - before) : 0,
      next: known.next,
    };
  }
}
