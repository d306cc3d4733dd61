// One line of `journalctl -o json --all`, also one that was cut because it was too long. Pure.

export interface JournalLine {
  /** On the machine's monotonic clock, milliseconds since its boot; absent where the line doesn't say. */
  readonly monotonicMs?: number;
  /** RFC 5424 6.2.1. */
  readonly severity?: number;
  /** kernel, a unit, or what called itself so */
  readonly source: string;
  readonly text: string;
}

export interface JournalEntry {
  /** Absent for our own lines and for what has no message. */
  readonly line?: JournalLine;
  readonly cursor?: string;
}

/** What we ask for; `__CURSOR` and the times always come. */
export const journalFields = [
  'MESSAGE',
  'PRIORITY',
  '_TRANSPORT',
  '_SYSTEMD_UNIT',
  'SYSLOG_IDENTIFIER',
  '_COMM',
  '_PID',
] as const;

/** Characters of a message that are looked at; the queue cuts it to fewer bytes. */
const mostChars = 8192;

/** Never throws. What can't be read gives nothing. */
export function readJournalLine(json: string, ownPid: number): JournalEntry {
  let entry: unknown;
  try {
    entry = JSON.parse(json);
  } catch {
    // Cut off in the middle, then: fields that are whole can be read one by one.
    entry = readCut(json);
  }
  if (typeof entry !== 'object' || entry === null) return {};
  const field = (name: string): string | undefined => textOf((entry as Record<string, unknown>)[name]);
  const cursor = field('__CURSOR');
  const known = cursor === undefined ? {} : { cursor };
  const text = field('MESSAGE');
  if (text === undefined || field('_PID') === String(ownPid)) return known;
  const micros = numberOf(field('__MONOTONIC_TIMESTAMP'));
  const severity = numberOf(field('PRIORITY'));
  const source =
    field('_TRANSPORT') === 'kernel'
      ? 'kernel'
      : field('_SYSTEMD_UNIT') || field('SYSLOG_IDENTIFIER') || field('_COMM') || 'journal';
  return {
    ...known,
    line: {
      source,
      text,
      ...(micros === undefined ? {} : { monotonicMs: micros / 1000 }),
      ...(severity === undefined || severity > 7 ? {} : { severity }),
    },
  };
}

function numberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) return undefined;
  // A field that stands several times in an entry comes as a list of texts, or of lists.
  if (typeof value[0] === 'string' || Array.isArray(value[0])) return textOf(value[0]);
  // Messages with control bytes or invalid UTF-8 come as a list of octets.
  const octets = value.slice(0, mostChars);
  if (octets.some((octet) => !Number.isInteger(octet) || octet < 0 || octet > 255)) return undefined;
  return Buffer.from(octets as number[]).toString('utf8');
}

/** Whole fields of the beginning of an object, and the beginning of the message. */
function readCut(json: string): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  for (const name of [...journalFields, '__CURSOR', '__MONOTONIC_TIMESTAMP']) {
    const [whole] = new RegExp(`"${name}"\\s*:\\s*("(?:[^"\\\\]|\\\\.){0,300}")`).exec(json)?.slice(1) ?? [];
    if (whole !== undefined && name !== 'MESSAGE') found[name] = parsed(whole);
  }
  const at = /"MESSAGE"\s*:\s*/.exec(json);
  if (at === null) return found;
  const rest = json.slice(at.index + at[0].length, at.index + at[0].length + 6 * mostChars);
  if (rest.startsWith('"')) {
    const inside = /^"((?:[^"\\]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*)/.exec(rest)?.[1] ?? '';
    found.MESSAGE = parsed(`"${inside}"`);
  } else if (rest.startsWith('[')) {
    const octets = /^\[((?:\s*\d{1,3}\s*,)*)/.exec(rest)?.[1] ?? '';
    found.MESSAGE = parsed(`[${octets.replace(/,\s*$/, '')}]`);
  }
  return found;
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
