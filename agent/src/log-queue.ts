// Log lines on their way to the controller: bounded, numbered, kept until they are acknowledged. When there are too many the oldest are
// thrown away, because the end of a log explains a failure; what is missing is counted.
import type { LogLine } from '@nixie/proto/agent';
import { cleanLine } from './log-text.ts';

export interface Batch {
  readonly stream: bigint;
  /** Sequence of the first line. */
  readonly first: bigint;
  readonly lines: LogLine[];
  /** Lines thrown away right before the first, of those that the controller has not acknowledged. */
  readonly dropped: bigint;
  readonly unixMs: bigint;
}

export interface NewLine {
  /** When it was said, on the monotonic clock of the queue, milliseconds. */
  readonly ticks: number;
  readonly source: string;
  readonly text: string;
  /** RFC 5424 6.2.1: 0 emergency … 7 debug. */
  readonly severity?: number;
}

export interface QueueOptions {
  /** Bounds of what waits: lines, and characters of text. */
  readonly mostLines?: number;
  readonly mostChars?: number;
  /** Bounds of what is sent and not acknowledged. */
  readonly windowLines?: number;
  readonly windowChars?: number;
  /** Of this life of the agent; a random number. */
  readonly stream: bigint;
}

export class LogQueue {
  readonly #options: Required<QueueOptions>;
  #lines: NewLine[] = [];
  #chars = 0;
  /** Sequence of the first line kept. */
  #first = 0;
  /** All before were sent in this session. */
  #sent = 0;
  /** All before were sent in any session. */
  #everSent = 0;
  /** What was sent in this session and is not acknowledged. */
  #out: { readonly next: number; readonly lines: number; readonly chars: number }[] = [];
  #outLines = 0;
  #outChars = 0;
  /** All before are acknowledged, or known to be lost: the batch that follows the loss says it. */
  #told = 0;
  #acknowledged = 0;
  #dropped = 0;
  #marks: { readonly next: number; readonly place: string }[] = [];
  #place: string | undefined;
  #wake: (() => void)[] = [];
  #listener: (() => void) | undefined;

  constructor(options: QueueOptions) {
    this.#options = {
      mostLines: 5000,
      mostChars: 2 << 20,
      windowLines: 2000,
      windowChars: 512 << 10,
      ...options,
    };
  }

  /** Lines that wait, those included that are sent and not acknowledged. */
  get length(): number {
    return this.#lines.length;
  }

  /** Lines thrown away since the agent began. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Whoever reads from a place that keeps its lines stops here; the rest is for lines that come only once. */
  get full(): boolean {
    const { mostLines, mostChars } = this.#options;
    return this.#lines.length >= mostLines * 0.75 || this.#chars >= mostChars * 0.75;
  }

  /** Of the lines that are acknowledged, the last place they were read from. */
  get place(): string | undefined {
    return this.#place;
  }

  /** Lines that were not sent in this session. */
  get unsent(): number {
    return this.#first + this.#lines.length - Math.max(this.#sent, this.#first);
  }

  /** Has it called whenever there is something new to be sent; undefined ends that. */
  onWork(listener: (() => void) | undefined): void {
    this.#listener = listener;
  }

  add({ ticks, source, text, severity }: NewLine): void {
    const line: NewLine = {
      ticks,
      source: cleanLine(source, 64),
      text: cleanLine(text),
      ...(severity === undefined ? {} : { severity }),
    };
    this.#lines.push(line);
    this.#chars += line.text.length;
    const { mostLines, mostChars } = this.#options;
    let drop = 0;
    // Of one line there is always room.
    while (this.#lines.length - drop > mostLines || (this.#chars > mostChars && this.#lines.length - drop > 1)) {
      this.#forget(this.#lines[drop]!);
      drop += 1;
    }
    if (drop > 0) {
      this.#lines.splice(0, drop);
      this.#dropped += drop;
    }
    this.#listener?.();
  }

  /** The lines added so far were read up to this place: when they are acknowledged, reading may begin there anew. */
  mark(place: string): void {
    const next = this.#first + this.#lines.length;
    if (next <= this.#acknowledged) this.#place = place;
    else {
      if (this.#marks.at(-1)?.next === next) this.#marks.pop();
      this.#marks.push({ next, place });
      // A place that is missing costs repeated lines after the next start of the agent, and nothing else.
      if (this.#marks.length > 256) this.#marks.shift();
    }
  }

  /** The next lines to be sent; undefined when there are none or too many are out. They are kept until `acknowledge`. */
  take(now: { readonly ticks: number; readonly unixMs: number }, most = 200, mostChars = 64 << 10): Batch | undefined {
    const { windowLines, windowChars, stream } = this.#options;
    const from = Math.max(this.#sent, this.#first);
    const lines: LogLine[] = [];
    let chars = 0;
    for (let at = from - this.#first; at < this.#lines.length && lines.length < most; at++) {
      if (this.#outLines + lines.length >= windowLines || this.#outChars + chars >= windowChars) break;
      const line = this.#lines[at]!;
      if (lines.length > 0 && chars + line.text.length > mostChars) break;
      chars += line.text.length;
      lines.push({
        unixMs: BigInt(Math.trunc(now.unixMs - (now.ticks - line.ticks))),
        source: line.source,
        text: line.text,
        severity: line.severity,
      });
    }
    if (lines.length === 0) return undefined;
    const dropped = Math.max(0, from - this.#told);
    this.#sent = from + lines.length;
    this.#told = this.#sent;
    this.#everSent = Math.max(this.#everSent, this.#sent);
    this.#out.push({ next: this.#sent, lines: lines.length, chars });
    this.#outLines += lines.length;
    this.#outChars += chars;
    return { stream, first: BigInt(from), lines, dropped: BigInt(dropped), unixMs: BigInt(Math.trunc(now.unixMs)) };
  }

  /** The controller has all lines before `next`. What can't be meant is ignored. */
  acknowledge(stream: bigint, next: bigint): void {
    const to = Number(next);
    if (stream !== this.#options.stream || to <= this.#acknowledged || to > this.#everSent) return;
    this.#acknowledged = to;
    // Also what an earlier session sent, and nobody acknowledged then.
    this.#sent = Math.max(this.#sent, to);
    this.#told = Math.max(this.#told, to);
    while (this.#out[0] !== undefined && this.#out[0].next <= to) {
      const { lines, chars } = this.#out.shift()!;
      this.#outLines -= lines;
      this.#outChars -= chars;
    }
    const gone = Math.min(Math.max(0, to - this.#first), this.#lines.length);
    for (let at = 0; at < gone; at++) this.#forget(this.#lines[at]!);
    this.#lines.splice(0, gone);
    while (this.#marks[0] !== undefined && this.#marks[0].next <= to) this.#place = this.#marks.shift()!.place;
    if (!this.full) for (const wake of this.#wake.splice(0)) wake();
  }

  /** A new session begins with the first line that isn't acknowledged. */
  rewind(): void {
    this.#sent = this.#acknowledged;
    this.#told = this.#acknowledged;
    this.#out = [];
    this.#outLines = 0;
    this.#outChars = 0;
  }

  /** Resolves when it isn't full any more, or at the signal. */
  room(signal: AbortSignal): Promise<void> {
    if (!this.full || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        signal.removeEventListener('abort', wake);
        resolve();
      };
      signal.addEventListener('abort', wake, { once: true });
      this.#wake.push(wake);
    });
  }

  #forget(line: NewLine): void {
    this.#chars -= line.text.length;
    this.#first += 1;
  }
}
