// nixos-facter's report, where that program is installed: passed on as it is, for people's configurations, never read for decisions.
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Outcome } from '../child.ts';
import { readJson } from './tree.ts';

export const mostFacterBytes = 10 << 20;
/** It probes all buses, one after the other. */
const facterMs = 120_000;

export type FacterResult = { readonly json: Buffer } | { readonly why: string };

/**
 * Runs it as root of this machine. Never throws.
 * @param folder where its file may lie for a moment
 */
export async function runFacter(
  folder: string,
  run: (argv: readonly string[], options: { deadlineMs: number }) => Promise<Outcome>,
): Promise<FacterResult> {
  let place: string | undefined;
  try {
    place = await mkdtemp(join(folder, 'facter-'));
    const file = join(place, 'facter.json');
    // Into a file: what it tells of its progress on the standard output has spoilt reports.
    const { code, why, stderr } = await run(['nixos-facter', '-o', file], { deadlineMs: facterMs });
    if (why === 'ENOENT') return { why: 'not-installed' };
    if (code !== 0) return { why: why ?? `status ${code}: ${stderr.trim().split('\n').pop() ?? ''}`.slice(0, 200) };
    const { size } = await stat(file);
    if (size > mostFacterBytes) return { why: `its report has ${size} bytes, more than ${mostFacterBytes}` };
    const json = await readFile(file);
    const report = readJson(json.toString('utf8'));
    return typeof report === 'object' && report !== null ? { json } : { why: 'its report is no JSON object' };
  } catch (error) {
    return { why: (error as Error).message };
  } finally {
    if (place !== undefined) await rm(place, { recursive: true, force: true }).catch(() => {});
  }
}
