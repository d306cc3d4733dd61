// One line for each outcome: `name key=value`, for a journal, or as JSON.

export interface RelayEvent {
  readonly name: string;
  /** Absent: info. */
  readonly level?: 'warning' | 'error';
  readonly [key: string]: string | number | boolean | bigint | undefined;
}

const longest = 500;
/** In text that others wrote: no control characters, and nothing that turns a line around. */
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

function value(given: string | number | boolean | bigint): string {
  if (typeof given !== 'string') return String(given);
  const text = given.slice(0, longest).replace(unprintable, ' ');
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
}

export function logText({ name, level, ...values }: RelayEvent): string {
  const pairs = Object.entries(values).flatMap(([key, each]) => (each === undefined ? [] : [`${key}=${value(each)}`]));
  return [...(level === undefined ? [] : [`${level}:`]), name, ...pairs].join(' ');
}

/** @param at ISO 8601 */
export function logJson({ name, level, ...values }: RelayEvent, at: string): string {
  const plain = Object.entries(values).map(([key, each]) => [key, typeof each === 'bigint' ? Number(each) : each]);
  return JSON.stringify({ event: name, at, level: level ?? 'info', ...Object.fromEntries(plain) });
}
