// What a running nix is doing, from its log lines: a progress line for people at most four times a second, and, per build that failed, its
// text and the last lines of its log. Bounded however much nix prints: a copy alone reports every 64 KiB.
import { plain } from './causes.ts';
import { activity, type Fields, type NixLogItem, parseNixLog, result } from './log-format.ts';
import type { NixProgress } from './types.ts';

export interface BuildFailure {
  readonly drv: string;
  readonly text: string;
  /** Last lines of the build's own log. */
  readonly log: readonly string[];
}

export interface NixLog {
  /** Takes one line of stderr; gives progress when there is news and the last is old enough. */
  line(text: string, nowMs: number): NixProgress | undefined;
  /** The builds that failed themselves; not those that only waited for one of them. */
  failures(): readonly BuildFailure[];
  /** Last error that nix told, without the trace; empty when there was none. */
  errorText(): string;
  /** All errors and all that wasn't in the format, oldest first, bounded: what {@link causeOf} reads. */
  told(): string;
  /** Builds begun since the start. */
  readonly builds: number;
  /** How many `failures` has. */
  readonly failed: number;
}

const updateEveryMs = 250;
const maxActivities = 10_000;
const maxLoggedBuilds = 256;
const maxFailures = 1_000;
const keptLines = 25;
const keptLineLength = 400;

const brings: ReadonlySet<number> = new Set([activity.build, activity.copyPath, activity.substitute]);

interface Running {
  readonly type: number;
  readonly text: string;
  readonly drv?: string;
  /** Of what it is to bring into the store. */
  readonly path?: string;
  readonly done: number;
  readonly expected: number;
}

export interface NixLogListener {
  /** The build or download of a derivation or store path begins. */
  began(path: string): void;
  /** It is over, well or not. Of what was asked for itself nix says that only when it ends. */
  ended(path: string): void;
  /** A build is over, well or not; which one isn't said. */
  counted(): void;
}

export function nixLog(listener?: NixLogListener): NixLog {
  const running = new Map<number, Running>();
  const logs = new Map<string, string[]>();
  const failures = new Map<string, string>();
  const told: string[] = [];
  let errorText = '';
  let builds = 0;
  let updatedMs = Number.NEGATIVE_INFINITY;
  let buildsDone = 0;
  let buildsOver = 0;
  let buildsExpected = 0;
  // Bytes of transfers that are over; those that run are added from their activities.
  let finishedBytes = 0;
  let expectedBytes = 0;
  let current = '';
  let shown = '';

  const tell = (text: string) => {
    told.push(text);
    if (told.length > 200) told.shift();
  };

  function take(item: NixLogItem): void {
    switch (item.kind) {
      case 'start': {
        if (running.size >= maxActivities) return;
        const first = item.fields[0];
        const drv = item.type === activity.build && typeof first === 'string' ? first : undefined;
        const path = brings.has(item.type) && typeof first === 'string' ? first : undefined;
        running.set(item.id, {
          type: item.type,
          text: item.text,
          done: 0,
          expected: 0,
          ...(drv ? { drv } : {}),
          ...(path ? { path } : {}),
        });
        if (path) listener?.began(path);
        if (drv) {
          builds++;
          logs.set(drv, []);
          if (logs.size > maxLoggedBuilds) logs.delete(logs.keys().next().value!);
        }
        const text = describe(item.type, item.text, drv);
        if (text) current = text;
        return;
      }
      case 'stop': {
        const at = running.get(item.id);
        if (at && isTransfer(at.type)) finishedBytes += at.done;
        running.delete(item.id);
        if (at?.path !== undefined) listener?.ended(at.path);
        return;
      }
      case 'result':
        takeResult(item.id, item.type, item.fields);
        return;
      case 'message': {
        const text = plain(item.text);
        if (item.level > 1) return;
        tell(text.slice(0, 8_192));
        if (item.level > 0) return;
        // Hints ("use '--show-trace' …") come at the level of errors.
        if (item.raw === undefined && !/error:/.test(text)) return;
        errorText = plain(item.raw ?? text.replace(/^[\s\S]*?error:\s*/, '')).slice(0, 4_096);
        noteFailure(text);
      }
    }
  }

  function takeResult(id: number, type: number, fields: Fields): void {
    const at = running.get(id);
    if (!at) return;
    const [first, second] = fields;
    if (type === result.progress && typeof first === 'number' && typeof second === 'number') {
      if (at.type === activity.builds) {
        const failed = typeof fields[3] === 'number' ? fields[3] : 0;
        if (first + failed !== buildsOver) listener?.counted();
        buildsOver = first + failed;
        buildsDone = first;
        // Nix takes a build that failed off the expected ones.
        buildsExpected = Math.max(buildsExpected, second);
      } else running.set(id, { ...at, done: first, expected: second });
    } else if (type === result.setExpected && first === activity.fileTransfer && typeof second === 'number') {
      expectedBytes = Math.max(expectedBytes, second);
    } else if ((type === result.buildLogLine || type === result.postBuildLogLine) && at.drv) {
      const lines = logs.get(at.drv);
      if (!lines) return;
      lines.push(plain(String(first ?? '')).slice(0, keptLineLength));
      if (lines.length > keptLines) lines.shift();
    } else if (type === result.phase && at.drv && typeof first === 'string') {
      current = `${describe(at.type, at.text, at.drv)} (${plain(first).slice(0, 60)})`;
    }
  }

  function noteFailure(text: string): void {
    // One that only waited for another: not where to look.
    if (/dependenc(?:y|ies) (?:failed|of derivation)|^\s*(?:error: )?build of /.test(text)) return;
    const drv = /'(\/nix\/store\/[^'!^]+\.drv)(?:[!^][^']*)?'/.exec(text)?.[1];
    if (!drv || failures.has(drv) || failures.size >= maxFailures) return;
    failures.set(drv, text.replace(/^\s*error:\s*/, ''));
  }

  function progress(): NixProgress | undefined {
    let bytes = finishedBytes;
    let expected = 0;
    for (const at of running.values()) {
      if (!isTransfer(at.type)) continue;
      bytes += at.done;
      expected += at.expected;
    }
    const total = Math.max(expectedBytes, finishedBytes + expected);
    const downloading = /^(?:downloading|copying) /.test(current) && total > 0;
    const amount = downloading
      ? ({ done: bytes, total, unit: 'bytes' } as const)
      : buildsExpected > 0
        ? ({ done: buildsDone, total: buildsExpected, unit: 'builds' } as const)
        : {};
    return current === '' ? undefined : { text: current, ...amount };
  }

  return {
    line(text, nowMs) {
      const item = parseNixLog(text);
      if (item) take(item);
      else if (text.trim() !== '' && !text.startsWith('@nix ')) {
        tell(plain(text).slice(0, 1_024));
        // Some errors come before the format is in force, like an unknown flag.
        if (/^\s*error: /.test(plain(text)))
          errorText = plain(text)
            .replace(/^\s*error:\s*/, '')
            .slice(0, 4_096);
      }
      if (nowMs - updatedMs < updateEveryMs) return undefined;
      const news = progress();
      const asText = JSON.stringify(news);
      if (news === undefined || asText === shown) return undefined;
      updatedMs = nowMs;
      shown = asText;
      return news;
    },
    failures: () => [...failures].map(([drv, text]) => ({ drv, text, log: logs.get(drv) ?? quotedLog(text) })),
    errorText: () => errorText,
    told: () => told.join('\n'),
    get builds() {
      return builds;
    },
    get failed() {
      return failures.size;
    },
  };
}

// A file transfer is what lies under a substitution's "copy path"; counting both would count twice.
function isTransfer(type: number): boolean {
  return type === activity.fileTransfer;
}

function describe(type: number, text: string, drv: string | undefined): string {
  if (drv) return `building ${storeName(drv)}`;
  const clean = plain(text).slice(0, 200);
  if (type === activity.copyPath) return `copying ${storeName(/'([^']+)'/.exec(clean)?.[1] ?? 'a path')}`;
  // Metadata and archives of single paths pass by in hundreds; the path that is copied says more.
  if (type === activity.fileTransfer)
    return /\.nar(?:info)?\b|\/nar\/|nix-cache-info/.test(clean) ? '' : clean || 'downloading';
  if (type === activity.fetchTree || /^(?:evaluating|fetching|unpacking|downloading)/.test(clean)) return clean;
  return '';
}

/** `linux-6.12.30` of `/nix/store/<hash>-linux-6.12.30.drv` */
export function storeName(path: string): string {
  return path.replace(/^.*\/[0-9a-z]{32}-/, '').replace(/\.drv$/, '');
}

/** The `> …` lines that nix quotes in a failure's own text, for a build whose log didn't pass through here. */
function quotedLog(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => /^\s*>/.test(line))
    .map((line) => line.replace(/^\s*> ?/, '').slice(0, keptLineLength))
    .slice(-keptLines);
}
