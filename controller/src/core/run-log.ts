// What is said by and about the machines of a run: masked, dated by stage, given to files and to those who follow, and the last of it kept for
// the report of a machine that failed.
import type { Speaker } from '../machine/event.ts';
import { type HostLine, type LineFilter, type Origin, passes } from '../machine/host-line.ts';
import type { Stage } from '../machine/stage.ts';
import type { LogFiles } from '../store/log-files.ts';
import { lineText } from '../store/log-format.ts';
import { linesOf } from '../store/log-reader.ts';

export interface RunLogWorld {
  /** Absent: nothing is written. */
  readonly files?: LogFiles | undefined;
  /** Masks the values of secrets. */
  readonly mask: (text: string) => string;
  readonly now: () => number;
}

export interface NewLine extends Omit<HostLine, 'at' | 'stage'> {
  /** Absent: now. */
  readonly at?: number;
}

const speakers: readonly Speaker[] = ['nix', 'nixos-anywhere', 'agent', 'kernel'];
const speakerOf: Readonly<Partial<Record<Origin, Speaker>>> = {
  nix: 'nix',
  'nixos-anywhere': 'nixos-anywhere',
  agent: 'agent',
  journal: 'agent',
  kernel: 'kernel',
};

/** Lines kept of each origin of a host, and characters of each of them. */
const kept = 40;
const longestKept = 2000;
const stagesKept = 64;

interface HostLog {
  /** Since when it was in which stage, oldest first. */
  readonly stages: { readonly since: number; readonly stage: Stage }[];
  readonly last: Map<Origin, { readonly number: number; readonly line: HostLine }[]>;
  readonly listeners: Set<(lines: readonly HostLine[]) => void>;
}

export class RunLog {
  readonly #world: RunLogWorld;
  readonly #hosts = new Map<string, HostLog>();
  #number = 0;

  constructor(world: RunLogWorld) {
    this.#world = world;
  }

  /** A machine came to a stage. */
  moved(host: string, stage: Stage, at: number): void {
    const { stages } = this.#of(host);
    if (stages.at(-1)?.stage === stage) return;
    stages.push({ since: at, stage });
    if (stages.length > stagesKept) stages.shift();
  }

  /** Keeps the lines; never throws. @returns them, masked */
  keep(host: string, given: readonly NewLine[]): readonly HostLine[] {
    if (given.length === 0) return [];
    const { mask, now, files } = this.#world;
    const log = this.#of(host);
    const lines = given.map(({ at = now(), origin, source, text, severity }) => ({
      at,
      stage: stageAt(log, at),
      origin,
      source: mask(source),
      text: mask(text),
      ...(severity === undefined ? {} : { severity }),
    }));
    for (const line of lines) {
      const list = log.last.get(line.origin) ?? [];
      log.last.set(line.origin, list);
      const { text } = line;
      const short =
        text.length > longestKept ? { ...line, text: `${text.slice(0, longestKept).toWellFormed()}…` } : line;
      list.push({ number: this.#number++, line: short });
      if (list.length > kept) list.shift();
    }
    files?.write(
      host,
      lines.map((line) => `${lineText(line)}\n`),
    );
    for (const listener of [...log.listeners]) {
      try {
        listener(lines);
      } catch {
        log.listeners.delete(listener);
      }
    }
    return lines;
  }

  /** Of the run, not of a machine. */
  keepOfRun(source: string, text: string): void {
    const { mask, now, files } = this.#world;
    files?.write(undefined, [
      `${lineText({ at: now(), stage: 'planned', origin: 'core', source, text: mask(text) })}\n`,
    ]);
  }

  /** Resolves at once unless the disk is behind. */
  room(): Promise<void> {
    return this.#world.files?.room() ?? Promise.resolve();
  }

  /** The last lines of each who said anything, oldest first, at most so many each. */
  lastWords(host: string, most: number): Partial<Record<Speaker, string[]>> {
    const found = speakers.flatMap((speaker) => {
      const lines = this.#kept(host, (origin) => speakerOf[origin] === speaker).slice(-most);
      return lines.length === 0 ? [] : [[speaker, lines.map(({ source, text }) => `${source}: ${text}`)] as const];
    });
    return Object.fromEntries(found);
  }

  /** The last lines of all of them. */
  last(host: string, most: number): string[] {
    return this.#kept(host, () => true)
      .slice(-most)
      .map(({ source, text }) => `${source}: ${text}`);
  }

  /** A machine begins anew: what it said before is not its reason any more. The files keep it. */
  forget(host: string): void {
    this.#hosts.get(host)?.last.clear();
  }

  /** A machine left the run. */
  remove(host: string): void {
    const log = this.#hosts.get(host);
    if (log !== undefined && log.listeners.size === 0) this.#hosts.delete(host);
    else log?.last.clear();
  }

  /** Lines from now on, as they come; the result ends it. */
  follow(host: string, listener: (lines: readonly HostLine[]) => void): () => void {
    const { listeners } = this.#of(host);
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  /** Lines until now: of the files, or where there are none those in memory. */
  async *until(host: string, filter: LineFilter): AsyncGenerator<readonly HostLine[]> {
    const memory = this.#kept(host, () => true).filter((line) => passes(filter, line));
    const files = await this.#world.files?.read(host).catch(() => []);
    if (files === undefined || files.length === 0) {
      if (memory.length > 0) yield memory;
      return;
    }
    const left = [...files];
    let newest = 0;
    try {
      for (let next = left.shift(); next !== undefined; next = left.shift())
        for await (const lines of linesOf(next.file, next.bytes, filter)) {
          for (const { at } of lines) newest = Math.max(newest, at);
          yield lines;
        }
      // What a full disk did not take is there as far as memory goes.
      const unwritten = this.#world.files?.lost === 0 ? [] : memory.filter(({ at }) => at > newest);
      if (unwritten.length > 0) yield unwritten;
    } finally {
      for (const { file } of left) await file.close();
    }
  }

  #kept(host: string, wanted: (origin: Origin) => boolean): HostLine[] {
    return [...(this.#hosts.get(host)?.last ?? [])]
      .filter(([origin]) => wanted(origin))
      .flatMap(([, lines]) => lines)
      .sort((a, b) => a.number - b.number)
      .map(({ line }) => line);
  }

  #of(host: string): HostLog {
    const known = this.#hosts.get(host);
    if (known !== undefined) return known;
    const made: HostLog = { stages: [], last: new Map(), listeners: new Set() };
    this.#hosts.set(host, made);
    return made;
  }
}

function stageAt({ stages }: HostLog, at: number): Stage {
  for (let i = stages.length - 1; i >= 0; i--) if (stages[i]!.since <= at) return stages[i]!.stage;
  return stages[0]?.stage ?? 'planned';
}
