// The tokens that are out, kept over a restart of the controller: a machine that is loading its kernel meanwhile registers with one of them.
import { readFileSync } from 'node:fs';
import { type Mac, parseMac } from '../machine/mac.ts';
import type { Token } from '../machine/token.ts';
import { replaceFile } from './file.ts';

/** Those of the file that are whole; none when it can't be read. */
export function readTokens(file: string): Token[] {
  try {
    const list: unknown = JSON.parse(readFileSync(file, 'utf8'));
    return Array.isArray(list) ? list.flatMap((entry) => readToken(entry) ?? []) : [];
  } catch {
    return [];
  }
}

function readToken(entry: unknown): Token | undefined {
  if (typeof entry !== 'object' || entry === null) return undefined;
  const { token, mac, host, issuedAt, usedBy, usedAt, stockedMs } = entry as Record<string, unknown>;
  const parsed: Mac | undefined = typeof mac === 'string' ? parseMac(mac) : undefined;
  if (typeof token !== 'string' || !/^[0-9a-f]{32}$/.test(token) || parsed === undefined) return undefined;
  if (typeof host !== 'string' || typeof issuedAt !== 'number') return undefined;
  if (usedBy !== undefined && typeof usedBy !== 'string') return undefined;
  if (usedAt !== undefined && typeof usedAt !== 'number') return undefined;
  if (stockedMs !== undefined && typeof stockedMs !== 'number') return undefined;
  return {
    token,
    mac: parsed,
    host,
    issuedAt,
    ...(usedBy === undefined ? {} : { usedBy }),
    ...(usedAt === undefined ? {} : { usedAt }),
    ...(stockedMs === undefined ? {} : { stockedMs }),
  };
}

/** @throws Error naming the file */
export function writeTokens(file: string, tokens: readonly Token[]): void {
  replaceFile(file, `${JSON.stringify(tokens)}\n`);
}
