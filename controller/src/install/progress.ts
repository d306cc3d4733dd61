// What nixos-anywhere and the programs below it print → where it is, how much is copied, and what went wrong. Pure.
// Its own lines have the form `### … ###`; the rest is free text of nix, ssh, disko and nixos-install.
import type { Step } from './plan.ts';

export type PhaseEvent =
  | { readonly kind: 'step'; readonly step: Step; readonly atMs: number }
  /** Before the first path: path absent. Bytes only when sizes are known. */
  | {
      readonly kind: 'copy';
      readonly step: 'upload' | 'copy';
      readonly atMs: number;
      readonly path?: string;
      readonly donePaths: number;
      readonly totalPaths?: number;
      readonly doneBytes: number;
      readonly totalBytes?: number;
      /** Of the paths under way, none of them among the done ones. */
      readonly pathBytes: number;
      readonly fetched: number;
      readonly pushed: number;
    }
  | { readonly kind: 'line'; readonly text: string; readonly atMs: number };

/** The line that begins each step, in the order in which they come. */
export const stepLines: readonly (readonly [line: string, step: Step])[] = [
  ['Uploading install SSH keys', 'keys'],
  ['Gathering machine facts', 'facts'],
  ['Formatting hard drive with disko', 'disko'],
  ['Uploading the system closure', 'copy'],
  ['Copying extra files', 'extra-files'],
  ['Installing NixOS', 'install'],
  ['Rebooting', 'reboot'],
  ['Waiting for the machine to become unreachable due to reboot', 'waiting'],
  ['Done!', 'done'],
];
const stepOfLine = new Map(stepLines);

export interface CopyState {
  readonly donePaths: number;
  readonly totalPaths?: number;
  readonly doneBytes: number;
  readonly totalBytes?: number;
  /** The path that began last. */
  readonly path?: string;
  /** Bytes of the paths that may be under way, when known: one that is pushed, or several that the machine takes by itself. */
  readonly pathBytes: number;
  /** Paths that came by HTTP, and paths that were sent over ssh. A path that failed the one way and came the other is in both. */
  readonly fetched: number;
  readonly pushed: number;
}

/** So many paths are taken by the machine at the same time, at most (`max-substitution-jobs` of nix). */
const fetchedAtOnce = 16;

export interface ProgressReader {
  readonly step: Step;
  readonly copy: CopyState;
  /** Events of one line, `line` first. */
  read(text: string, atMs: number): PhaseEvent[];
}

/** Sizes of the paths that this phase copies: store path → narSize in bytes. */
export function readProgress(sizes: ReadonlyMap<string, number> = new Map()): ProgressReader {
  const allBytes = [...sizes.values()].reduce((sum, size) => sum + size, 0);
  const fresh = (): CopyState => ({
    donePaths: 0,
    doneBytes: 0,
    pathBytes: 0,
    fetched: 0,
    pushed: 0,
    ...(sizes.size > 0 ? { totalBytes: allBytes } : {}),
  });
  let step: Step = 'start';
  let copy = fresh();
  let started = new Set<string>();
  let startedBytes = 0;
  /** Sizes of those that may be under way. nix says when a path begins, never when it is there: of many at once the largest are taken to be last. */
  let open: { readonly pushed: boolean; sizes: number[] } = { pushed: false, sizes: [] };

  const copyEvent = (atMs: number): PhaseEvent => {
    return { kind: 'copy', step: step === 'copy' ? 'copy' : 'upload', atMs, ...copy };
  };
  /** The paths that were started are done; in the end all of them are, also those that were there already. */
  const finishCopy = (atMs: number): PhaseEvent[] => {
    if (step !== 'copy' && step !== 'upload') return [];
    const { path: _, ...kept } = copy;
    copy = {
      ...kept,
      donePaths: copy.totalPaths ?? started.size,
      doneBytes: copy.totalBytes ?? copy.doneBytes + copy.pathBytes,
      pathBytes: 0,
    };
    return [copyEvent(atMs)];
  };
  const enter = (next: Step, atMs: number): PhaseEvent[] => {
    const events = finishCopy(atMs);
    step = next;
    if (next === 'copy' || next === 'upload') {
      copy = fresh();
      started = new Set();
      startedBytes = 0;
      open = { pushed: false, sizes: [] };
    }
    events.push({ kind: 'step', step: next, atMs });
    return events;
  };

  /** A path begins. Pushed ones go one after the other, behind all that were fetched. */
  const begin = (path: string, way: 'pushed' | 'fetched' | 'local'): void => {
    const bytes = sizes.get(path) ?? 0;
    if (!started.has(path)) startedBytes += bytes;
    started.add(path);
    const pushed = way === 'pushed';
    if (pushed || open.pushed) open = { pushed, sizes: [] };
    open.sizes.push(bytes);
    if (open.sizes.length > fetchedAtOnce) open.sizes = open.sizes.sort((a, b) => b - a).slice(0, fetchedAtOnce);
    const underWay = open.sizes.reduce((sum, size) => sum + size, 0);
    const doneBytes = Math.max(copy.doneBytes, startedBytes - underWay);
    copy = {
      ...copy,
      donePaths: Math.max(copy.donePaths, started.size - 1),
      doneBytes,
      path,
      pathBytes: Math.min(underWay, (copy.totalBytes ?? Number.POSITIVE_INFINITY) - doneBytes),
      ...(way === 'local' ? {} : { [way]: copy[way] + 1 }),
    };
  };

  return {
    get step() {
      return step;
    },
    get copy() {
      return copy;
    },
    read(text, atMs) {
      const events: PhaseEvent[] = [{ kind: 'line', text, atMs }];
      const heading = /^### (.+) ###$/.exec(text)?.[1];
      if (heading !== undefined) {
        const next = stepOfLine.get(heading);
        if (next !== undefined) events.push(...enter(next, atMs));
        return events;
      }
      const count = /^copying (\d+) paths\.\.\.$/.exec(text)?.[1];
      const begun = /^copying path '(\/[^']+)' (to|from) '([a-z]*)/.exec(text);
      if (count === undefined && begun === null) return events;
      // The disko closure has no heading of its own.
      if (step === 'facts') events.push(...enter('upload', atMs));
      if (step !== 'copy' && step !== 'upload') return events;
      // What is to be pushed, told when the rest has come.
      if (count !== undefined) copy = { ...copy, totalPaths: started.size + Number(count) };
      else if (begun !== null) {
        const [, path, way, store] = begun as unknown as [string, string, string, string];
        begin(
          path,
          way === 'to' && store.startsWith('ssh') ? 'pushed' : store.startsWith('http') ? 'fetched' : 'local',
        );
      }
      events.push(copyEvent(atMs));
      return events;
    },
  };
}
