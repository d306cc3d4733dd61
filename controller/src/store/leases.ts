// The addresses that MACs were given, so that a machine keeps its own over runs, and those that machines found to be somebody else's.
// Losing the files costs nothing but that.
import { readFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { type Mac, parseMac } from '../machine/mac.ts';
import { replaceFile } from './file.ts';

export function readLeases(file: string): Record<Mac, string> {
  return leasesOf(entries(file));
}

function leasesOf(found: readonly (readonly [string, unknown])[]): Record<Mac, string> {
  const leases: Record<Mac, string> = {};
  for (const [key, value] of found) {
    const mac = parseMac(key);
    if (mac !== undefined && typeof value === 'string' && isIPv4(value)) leases[mac] = value;
  }
  return leases;
}

/** By subnet, whose key holds a `/` and so is no MAC. */
export type SubnetLeases = Readonly<Record<string, Readonly<Record<Mac, string>>>>;

export function readSubnetLeases(file: string): SubnetLeases {
  const subnets = entries(file).filter(
    ([key, value]) => key.includes('/') && typeof value === 'object' && value !== null,
  );
  return Object.fromEntries(subnets.map(([key, value]) => [key, leasesOf(Object.entries(value as object))]));
}

/** In one step. MACs of other hosts files stay known. @throws Error naming the file */
export function writeLeases(file: string, leases: Readonly<Record<Mac, string>>, subnets: SubnetLeases = {}): void {
  replaceFile(file, `${JSON.stringify({ ...leases, ...subnets }, undefined, 1)}\n`);
}

/** A conflict may be over a day later: whoever had the address may have left. */
const declinedForMs = 24 * 3600_000;
/** Beyond so many the oldest are forgotten. */
const mostDeclined = 64;

/** Address → when a machine of ours declined it, milliseconds since 1970. Those of the last day. */
export function readDeclined(file: string, now: number): Map<string, number> {
  return new Map(
    entries(file).filter(
      (entry): entry is [string, number] =>
        isIPv4(entry[0]) && typeof entry[1] === 'number' && Math.abs(now - entry[1]) < declinedForMs,
    ),
  );
}

/** @throws Error naming the file */
export function writeDeclined(file: string, declined: ReadonlyMap<string, number>): void {
  const newest = [...declined].sort((a, b) => b[1] - a[1]).slice(0, mostDeclined);
  replaceFile(file, `${JSON.stringify(Object.fromEntries(newest), undefined, 1)}\n`);
}

function entries(file: string): [string, unknown][] {
  try {
    return Object.entries(JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>);
  } catch {
    return [];
  }
}
