// Builds everything that was evaluated in one go. What fails takes only those along that need it.

import { causeOf } from './causes.ts';
import type { RunNix } from './command.ts';
import { failureOf, withAdvice } from './failure.ts';
import { type BuildFailure, nixLog, storeName } from './log.ts';
import type { BuildResult, NixFailure, NixProgress, Output } from './types.ts';

export interface BuildOptions {
  /** By name (a host, an installer): the outputs it needs. Outputs that many share are built once. */
  readonly wanted: Readonly<Record<string, readonly Output[]>>;
  readonly run: RunNix;
  readonly nowMs: () => number;
  /** An existing folder that only this run writes to: links in it keep what was built from being collected. Absent: nothing is kept. */
  readonly gcRootsDir?: string;
  readonly onProgress?: (progress: NixProgress) => void;
  readonly signal?: AbortSignal;
  readonly deadlineMs?: number;
  /** Go on with the others when a build fails. Default: yes. */
  readonly keepGoing?: boolean;
}

export interface Built {
  /** An entry for each name. */
  readonly results: Readonly<Record<string, BuildResult>>;
  /** Builds that were begun; 0 when all was there. */
  readonly builds: number;
  readonly warnings: readonly string[];
}

const defaultDeadlineMs = 6 * 60 * 60_000;
const queryDeadlineMs = 10 * 60_000;
const maxTracedFailures = 50;

/** Never rejects for a failed build: each name has its own result. */
export async function build(options: BuildOptions): Promise<Built> {
  const { wanted, run, signal } = options;
  const names = Object.keys(wanted);
  const outputs = new Map<string, Output>();
  for (const output of Object.values(wanted).flat()) outputs.set(output.out, output);
  if (outputs.size === 0)
    return { results: Object.fromEntries(names.map((name) => [name, { ok: true }])), builds: 0, warnings: [] };
  const drvs = [...new Set([...outputs.values()].map((output) => output.drv))];
  const optional = signal ? { signal } : {};

  const log = nixLog();
  options.onProgress?.({ text: `building ${drvs.length} ${drvs.length === 1 ? 'output' : 'outputs'}` });
  const call = {
    program: 'nix-store',
    // `nix build` would need `DRV^*`, which 2.8 doesn't know, and builds nothing without it from 2.20 on.
    args: [
      '--realise',
      ...(options.keepGoing === false ? [] : ['--keep-going']),
      '--log-format',
      'internal-json',
      '-v',
      ...drvs,
    ],
    deadlineMs: options.deadlineMs ?? defaultDeadlineMs,
    onLine: (line: string) => {
      const progress = log.line(line, options.nowMs());
      if (progress) options.onProgress?.(progress);
    },
    ...optional,
  } as const;
  const result = await run(call);

  // With one failure it prints none of the others, so the store is asked. It is asked after success, too: this is what is served.
  const query = { program: 'nix-store', deadlineMs: queryDeadlineMs, ...optional } as const;
  const check = { ...query, args: ['--check-validity', '--print-invalid', ...outputs.keys()] };
  const checked = await run(check);
  let general: NixFailure | undefined;
  if (result.code !== 0) general = failureOf(call, result, log, 'build-failed');
  const missing = new Set<string>();
  if (checked.code === 0) {
    for (const line of checked.stdout.split('\n')) if (line.trim() !== '') missing.add(line.trim());
  } else {
    general ??= failureOf(check, checked);
    for (const out of outputs.keys()) missing.add(out);
  }

  const missingDrvs = new Set([...missing].map((out) => outputs.get(out)?.drv ?? ''));
  const blamed =
    missing.size === 0 ? new Map<string, BuildFailure>() : await blame(missingDrvs, log.failures(), run, query);
  const results = names.map((name): [string, BuildResult] => {
    const absent = wanted[name]!.find((output) => missing.has(output.out));
    if (!absent) return [name, { ok: true }];
    const culprit = blamed.get(absent.drv);
    if (culprit) return [name, { ok: false, failure: buildFailure(culprit, absent.drv) }];
    const text = `${storeName(absent.out)} was not built`;
    return [name, { ok: false, failure: general ?? { cause: 'build-failed', text, log: [], drv: absent.drv } }];
  });

  const warnings: string[] = [];
  const present = [...outputs.keys()].filter((out) => !missing.has(out));
  if (options.gcRootsDir !== undefined && present.length > 0) {
    // One link each: `built`, `built-2`, …; those of an earlier run are replaced. As ourselves: the folder is ours.
    const args = ['--realise', ...present, '--add-root', `${options.gcRootsDir}/built`];
    const root = { ...query, args, as: 'self' } as const;
    const rooted = await run(root);
    if (rooted.code !== 0) {
      warnings.push(`what was built is not kept from nix's garbage collection: ${failureOf(root, rooted).text}`);
    }
  }
  return { results: Object.fromEntries(results), builds: log.builds, warnings };
}

/** By derivation that is missing its output: the build that failed and that it needs (or is). */
async function blame(
  missing: ReadonlySet<string>,
  failures: readonly BuildFailure[],
  run: RunNix,
  query: { program: 'nix-store'; deadlineMs: number; signal?: AbortSignal },
): Promise<Map<string, BuildFailure>> {
  const blamed = new Map<string, BuildFailure>();
  for (const failure of failures.slice(0, maxTracedFailures)) {
    if (blamed.size === missing.size) break;
    if (missing.has(failure.drv)) blamed.set(failure.drv, failure);
    const answer = await run({ ...query, args: ['--query', '--referrers-closure', failure.drv] });
    for (const line of answer.stdout.split('\n')) {
      if (missing.has(line) && !blamed.has(line)) blamed.set(line, failure);
    }
  }
  return blamed;
}

function buildFailure(culprit: BuildFailure, wantedDrv: string): NixFailure {
  const cause = causeOf(culprit.text, 'build-failed');
  const first = culprit.text.split('\n')[0]!.trim();
  const via = culprit.drv === wantedDrv ? '' : `, which ${storeName(wantedDrv)} needs`;
  return { cause, text: withAdvice(cause, `${first}${via}`), log: culprit.log, drv: culprit.drv };
}
