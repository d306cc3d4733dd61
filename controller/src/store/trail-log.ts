// The trails of the last run, out of its journal: `nixie doctor` needs no controller that runs. Lines of the journal are those that the core writes
// (a stage) and those made here (an entry of a trail); a line that is neither, or torn, is passed over.
import { readFileSync } from 'node:fs';
import { type Entry, keyOf, type NoteKind, noteKinds, type StageEntry, type Trail } from '../doctor/trail.ts';
import { ends, type Stage, waySteps } from '../machine/stage.ts';

/** Written first, so that a reader knows what is of an earlier run. */
export function runLine(at: number): Record<string, unknown> {
  return { at: new Date(at).toISOString(), run: 'begins' };
}

/** @param host undefined: of no machine of the run */
export function entryLine(host: string | undefined, entry: Entry): Record<string, unknown> {
  return { at: new Date(entry.last).toISOString(), ...(host === undefined ? {} : { host }), trail: entry };
}

export interface TrailLog {
  /** By host, in the order in which the run first spoke of them. */
  readonly trails: ReadonlyMap<string, Trail>;
  /** When the run said its last word, milliseconds of the wall clock; 0 when it said none. */
  readonly last: number;
}

interface Read {
  stages: StageEntry[];
  entries: Map<string, Entry>;
}

const perHost = 400;
const stages: readonly string[] = [...waySteps, ...ends];

/** The last run of a journal. Never throws. @param texts the older file first */
export function readTrailLog(texts: readonly string[]): TrailLog {
  let hosts = new Map<string, Read>();
  let around = new Map<string, Entry>();
  let last = 0;
  for (const text of texts)
    for (const line of text.split('\n')) {
      const fields = parse(line);
      const at = Date.parse(String(fields?.at));
      if (fields === undefined || !Number.isFinite(at)) continue;
      if (fields.run === 'begins') {
        hosts = new Map();
        around = new Map();
        last = at;
      }
      last = Math.max(last, at);
      const { host } = fields;
      const entry = readEntry(fields.trail);
      if (typeof host !== 'string') {
        if (entry !== undefined) put(around, entry);
        continue;
      }
      const read = hosts.get(host) ?? { stages: [], entries: new Map<string, Entry>() };
      hosts.set(host, read);
      if (entry !== undefined) put(read.entries, entry);
      const stage = readStage(fields, at);
      if (stage !== undefined) addStage(read.stages, stage);
    }
  const all = [...around.values()];
  const trails = new Map(
    [...hosts].map(([host, read]) => [
      host,
      { host, stages: read.stages, entries: [...read.entries.values()], around: all } satisfies Trail,
    ]),
  );
  return { trails, last };
}

/** What cannot be read counts as empty. @throws the error of a file that is there and may not be read */
export function readTrailFiles(files: readonly string[]): TrailLog {
  return readTrailLog(
    files.map((file) => {
      try {
        return readFileSync(file, 'utf8');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
        throw error;
      }
    }),
  );
}

function put(entries: Map<string, Entry>, entry: Entry): void {
  const key = `${entry.attempt} ${keyOf(entry)}`;
  if (entries.size < perHost || entries.has(key)) entries.set(key, entry);
}

/** An address that became known is no new stage. */
function addStage(list: StageEntry[], stage: StageEntry): void {
  const before = list.at(-1);
  if (before?.stage === stage.stage) list[list.length - 1] = { ...stage, at: before.at };
  else list.push(stage);
  if (list.length > perHost) list.shift();
}

function parse(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

function readStage({ stage, reason, address }: Record<string, unknown>, at: number): StageEntry | undefined {
  if (typeof stage !== 'string' || !stages.includes(stage)) return undefined;
  return {
    stage: stage as Stage,
    at,
    ...(typeof reason === 'string' ? { reason } : {}),
    ...(typeof address === 'string' ? { address } : {}),
  };
}

const words = ['why', 'detail', 'interface', 'giaddr', 'asked', 'client', 'server', 'mac'] as const;
const measures = ['port', 'done', 'total', 'blockSize', 'again'] as const;

/** An entry as it was written, or undefined for anything else. */
export function readEntry(value: unknown): Entry | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const fields = value as Record<string, unknown>;
  const { kind, attempt, first, last, count } = fields;
  if (!(noteKinds as readonly unknown[]).includes(kind)) return undefined;
  if (!isTime(first) || !isTime(last) || !isCount(attempt) || !isCount(count)) return undefined;
  const entry: Record<string, unknown> = { kind: kind as NoteKind, attempt, first, last, count };
  for (const name of words) if (typeof fields[name] === 'string') entry[name] = fields[name];
  for (const name of measures) if (Number.isFinite(fields[name])) entry[name] = fields[name];
  return entry as unknown as Entry;
}

/** What a Date can hold (ECMA-262 21.4.1.1). */
function isTime(value: unknown): value is number {
  return typeof value === 'number' && Math.abs(value) <= 8.64e15;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
