// Nix's `--log-format internal-json`: one `@nix {…}` line on stderr per happening. Read leniently: newer versions add numbers and fields.

export type NixLogItem =
  | {
      readonly kind: 'start';
      readonly id: number;
      readonly type: number;
      readonly text: string;
      readonly fields: Fields;
    }
  | { readonly kind: 'result'; readonly id: number; readonly type: number; readonly fields: Fields }
  | { readonly kind: 'stop'; readonly id: number }
  /** `level` 0 is an error, 1 a warning. `raw` is an error's text without the way that led to it. */
  | { readonly kind: 'message'; readonly level: number; readonly text: string; readonly raw?: string };

export type Fields = readonly (string | number)[];

/** Types of activities. Source: nix, src/libutil/logging.hh. */
export const activity = {
  copyPath: 100,
  fileTransfer: 101,
  realise: 102,
  copyPaths: 103,
  builds: 104,
  build: 105,
  substitute: 108,
  fetchTree: 112,
} as const;

/** Types of results of an activity. */
export const result = {
  buildLogLine: 101,
  phase: 104,
  progress: 105,
  setExpected: 106,
  postBuildLogLine: 107,
} as const;

/** One line of stderr; undefined when it isn't of this format (then it is text for people) or can't be read. */
export function parseNixLog(line: string): NixLogItem | undefined {
  if (!line.startsWith('@nix ')) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(line.slice(5));
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const entry = value as Record<string, unknown>;
  const text = (name: string) => (typeof entry[name] === 'string' ? (entry[name] as string) : '');
  if (entry.action === 'msg') {
    const raw = text('raw_msg');
    const level = typeof entry.level === 'number' ? entry.level : 3;
    return { kind: 'message', level, text: text('msg'), ...(raw ? { raw } : {}) };
  }
  if (typeof entry.id !== 'number') return undefined;
  const { id } = entry;
  if (entry.action === 'stop') return { kind: 'stop', id };
  const type = typeof entry.type === 'number' ? entry.type : 0;
  const fields = Array.isArray(entry.fields)
    ? entry.fields.filter((field): field is string | number => typeof field === 'string' || typeof field === 'number')
    : [];
  if (entry.action === 'start') return { kind: 'start', id, type, text: text('text'), fields };
  if (entry.action === 'result') return { kind: 'result', id, type, fields };
  return undefined;
}
