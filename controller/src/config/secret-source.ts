// `file:PATH`, `command:PROGRAM ARGUMENT…`, `env:NAME`, `prompt` → where a secret's value is read.
import type { SecretSource } from '../machine/host.ts';

export const sourceAccepted =
  '"file:PATH", "command:PROGRAM ARGUMENT…", "env:NAME" or "prompt": where the value is read, never the value itself';

/** For editors; `parseSource` decides. */
export const sourcePattern = '^(file:[^~].*|command:.+|env:[A-Za-z_][A-Za-z0-9_]*|prompt)$';

/** Undefined when it is none of them. A `~` is not understood: whose home it means is unclear under sudo. */
export function parseSource(word: string): SecretSource | undefined {
  if (word === 'prompt') return { kind: 'prompt' };
  const [, kind, rest = ''] = /^(file|command|env):([\s\S]*)$/.exec(word) ?? [];
  switch (kind) {
    case 'file':
      return rest === '' || rest.startsWith('~') || rest.includes('\0') ? undefined : { kind, path: rest };
    case 'env':
      return /^[A-Za-z_][A-Za-z0-9_]*$/.test(rest) ? { kind, name: rest } : undefined;
    case 'command': {
      const argv = splitWords(rest);
      return argv === undefined || !argv[0] ? undefined : { kind, argv };
    }
    default:
      return undefined;
  }
}

/**
 * Words as a shell splits a plain command: blanks part words; '…' takes everything as it is; "…" takes everything but \" and \\; elsewhere a
 * backslash takes the next character as it is. Nothing else has a meaning: no variables, patterns, pipes or redirections.
 * Undefined for a quote that isn't closed, a backslash at the end, and control characters.
 */
export function splitWords(text: string): string[] | undefined {
  if (/[\0-\x08\x0a-\x1f\x7f]/.test(text)) return undefined;
  const words: string[] = [];
  let word: string | undefined;
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    if (character === ' ' || character === '\t') {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (character === "'") {
      const end = text.indexOf("'", at + 1);
      if (end < 0) return undefined;
      word = (word ?? '') + text.slice(at + 1, end);
      at = end;
    } else if (character === '"') {
      word ??= '';
      for (at++; text[at] !== '"'; at++) {
        if (at >= text.length) return undefined;
        if (text[at] === '\\' && (text[at + 1] === '"' || text[at + 1] === '\\')) at++;
        word += text[at];
      }
    } else if (character === '\\') {
      at++;
      if (at >= text.length) return undefined;
      word = (word ?? '') + text[at];
    } else word = (word ?? '') + character;
  }
  if (word !== undefined) words.push(word);
  return words;
}
