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
      /** Of the path under way, none of them among the done ones. */
      readonly pathBytes: number;
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
  /** The path under way. */
  readonly path?: string;
  /** Bytes of the path under way, when known. */
  readonly pathBytes: number;
}

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
    ...(sizes.size > 0 ? { totalBytes: allBytes } : {}),
  });
  let step: Step = 'start';
  let copy = fresh();
  let started = new Set<string>();

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
    }
    events.push({ kind: 'step', step: next, atMs });
    return events;
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
      const path = /^copying path '(\/[^']+)' (?:to|from) '/.exec(text)?.[1];
      if (count === undefined && path === undefined) return events;
      // The disko closure has no heading of its own.
      if (step === 'facts') events.push(...enter('upload', atMs));
      if (step !== 'copy' && step !== 'upload') return events;
      if (count !== undefined) copy = { ...copy, totalPaths: Number(count) };
      else if (path !== undefined && !started.has(path)) {
        copy = {
          ...copy,
          donePaths: started.size,
          doneBytes: copy.doneBytes + copy.pathBytes,
          path,
          pathBytes: sizes.get(path) ?? 0,
        };
        started.add(path);
      }
      events.push(copyEvent(atMs));
      return events;
    },
  };
}
