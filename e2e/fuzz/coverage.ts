// Which basic blocks of the sources have run, asked of V8 in this thread.
import { type Profiler, Session } from 'node:inspector';

const watched = /\/(?:controller\/src|agent\/src|proto\/gen|proto\/fleet|e2e\/fuzz\/planted)\b/;

interface Script {
  /** One octet for each character of the source: 1 once it ran. */
  covered: Uint8Array;
  /** Offsets at which a block begins or ends. */
  readonly bounds: Set<number>;
}

export class Coverage {
  readonly #session = new Session();
  readonly #scripts = new Map<string, Script>();
  /** `FILE#NAME` of each named function that ran. */
  readonly functions = new Set<string>();

  constructor() {
    this.#session.connect();
    this.#session.post('Profiler.enable');
  }

  /** Slows everything down: optimised code does not run from here on. */
  start(): void {
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  stop(): void {
    this.#session.post('Profiler.stopPreciseCoverage');
  }

  /** As if nothing had run. */
  forget(): void {
    this.#scripts.clear();
    this.functions.clear();
  }

  close(): void {
    this.#session.disconnect();
  }

  /** Takes what ran since the last call; true when a block ran for the first time. A few milliseconds. With `remember` off it stays new. */
  poll(remember = true): boolean {
    let fresh = false;
    this.#session.post('Profiler.takePreciseCoverage', (error, taken) => {
      if (error !== null) throw new Error('take coverage', { cause: error });
      for (const script of taken.result) if (watched.test(script.url)) fresh = this.#add(script, remember) || fresh;
    });
    return fresh;
  }

  #add({ url, functions }: Profiler.ScriptCoverage, remember: boolean): boolean {
    let fresh = false;
    let script = this.#scripts.get(url);
    if (script === undefined) {
      script = { covered: new Uint8Array(0), bounds: new Set() };
      this.#scripts.set(url, script);
    }
    for (const { functionName, ranges } of functions) {
      const whole = ranges[0]!;
      if (whole.endOffset > script.covered.length) {
        const longer = new Uint8Array(whole.endOffset * 2);
        longer.set(script.covered);
        script.covered = longer;
      }
      if (whole.count === 0) continue;
      if (remember && functionName !== '') this.functions.add(`${url}#${functionName}`);
      // Outer ranges come before those inside them: the innermost one tells whether a character ran.
      const ran = new Uint8Array(whole.endOffset - whole.startOffset);
      for (const { startOffset, endOffset, count } of ranges) {
        ran.fill(count > 0 ? 1 : 0, startOffset - whole.startOffset, endOffset - whole.startOffset);
        if (remember) script.bounds.add(startOffset).add(endOffset);
      }
      for (let at = ran.indexOf(1); at >= 0; at = ran.indexOf(1, at)) {
        const off = ran.indexOf(0, at);
        const [from, to] = [whole.startOffset + at, off < 0 ? whole.endOffset : whole.startOffset + off];
        const first = script.covered.indexOf(0, from);
        if (first >= 0 && first < to) {
          fresh = true;
          if (remember) script.covered.fill(1, from, to);
        }
        if (off < 0) break;
        at = off;
      }
    }
    return fresh;
  }

  /** Blocks that ran, over all sources. */
  get edges(): number {
    let count = 0;
    for (const { covered, bounds } of this.#scripts.values()) {
      const offsets = [...bounds].sort((a, b) => a - b);
      for (let index = 0; index + 1 < offsets.length; index++) if (covered[offsets[index]!] === 1) count++;
    }
    return count;
  }
}
