// Log lines on their way to the controller: bounded, counted, cleaned. The oldest are thrown away first, because the end of a log
// explains a failure.
import type { LogLine } from '@nixie/proto/agent';

export interface Batch {
  readonly first: bigint;
  readonly lines: LogLine[];
  readonly dropped: bigint;
}

const encoder = new TextEncoder();

/** Without control bytes and terminal colours, at most 8 KiB of UTF-8. */
export function cleanLine(text: string, mostBytes = 8192): string {
  const clean = text
    .slice(0, mostBytes + 64)
    .replace(/\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])/g, '')
    .replace(/\t/g, ' ')
    .replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, '')
    .toWellFormed();
  if (clean.length * 3 <= mostBytes || encoder.encode(clean).length <= mostBytes) return clean;
  // Cut at a character: stream mode drops the broken rest.
  return new TextDecoder().decode(encoder.encode(clean).subarray(0, mostBytes), { stream: true });
}

/** Numbers count up over the whole boot; `mostLines` and `mostBytes` (of text) bound what waits. */
export class LogQueue {
  #lines: LogLine[] = [];
  #bytes = 0;
  #next = 0n;
  #dropped = 0n;
  readonly #mostLines: number;
  readonly #mostBytes: number;

  constructor(mostLines = 5000, mostBytes = 4 << 20) {
    this.#mostLines = mostLines;
    this.#mostBytes = mostBytes;
  }

  get length(): number {
    return this.#lines.length;
  }

  add(unixMs: number, source: string, text: string): void {
    const line = { unixMs: BigInt(Math.trunc(unixMs)), source: cleanLine(source, 64), text: cleanLine(text) };
    this.#lines.push(line);
    this.#bytes += line.text.length;
    this.#next += 1n;
    let drop = 0;
    while (this.#lines.length - drop > this.#mostLines || this.#bytes > this.#mostBytes) {
      this.#bytes -= this.#lines[drop]!.text.length;
      drop += 1;
    }
    if (drop > 0) {
      this.#lines.splice(0, drop);
      this.#dropped += BigInt(drop);
    }
  }

  /** Up to `most` lines; undefined when there is nothing. What was taken is not kept. */
  take(most = 50): Batch | undefined {
    if (this.#lines.length === 0) return undefined;
    const first = this.#next - BigInt(this.#lines.length);
    const lines = this.#lines.splice(0, most);
    for (const line of lines) this.#bytes -= line.text.length;
    const dropped = this.#dropped;
    this.#dropped = 0n;
    return { first, lines, dropped };
  }
}
