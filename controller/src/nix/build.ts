// Builds everything that was evaluated in one go. What fails takes only those along that need it.

import { BuildWatch } from './build-watch.ts';
import { causeOf } from './causes.ts';
import type { RunNix } from './command.ts';
import { failureOf, withAdvice } from './failure.ts';
import { type BuildFailure, type NixLog, nixLog, storeName } from './log.ts';
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
  /**
   * Told once of each name before the result resolves: when its outputs are in the store and kept, or its build has failed, whatever the others
   * still take.
   */
  readonly onResult?: (name: string, result: BuildResult) => void;
  /** Calls back once after so many milliseconds; the result calls it off. Absent: `onResult` is called at the end alone. */
  readonly after?: (milliseconds: number, call: () => void) => () => void;
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
/** What else nix calls an error while it builds (a builder that can't be reached, say) may not be the end of it. */
const buildHasFailed = /^(?:builder for '|Cannot build '|hash mismatch in fixed-output derivation ')/;

/** Never rejects for a failed build: each name has its own result. */
export async function build(options: BuildOptions): Promise<Built> {
  const { wanted, run, signal } = options;
  const names = Object.keys(wanted);
  const outputs = new Map<string, Output>();
  for (const output of Object.values(wanted).flat()) outputs.set(output.out, output);
  if (outputs.size === 0) {
    for (const name of names) options.onResult?.(name, { ok: true });
    return { results: Object.fromEntries(names.map((name) => [name, { ok: true }])), builds: 0, warnings: [] };
  }
  const drvs = [...new Set([...outputs.values()].map((output) => output.drv))];
  const optional = signal ? { signal } : {};

  const log: NixLog = nixLog({
    began: (path) => watch?.began(path),
    ended: (path) => watch?.ended(path),
    counted: () => watch?.counted(),
  });
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
      watch?.line();
    },
    ...optional,
  } as const;
  const query = { program: 'nix-store', deadlineMs: queryDeadlineMs, ...optional } as const;
  const checkOf = (outs: readonly string[]) =>
    ({ ...query, args: ['--check-validity', '--print-invalid', ...outs] }) as const;
  // One link each: `built`, `built-2`, …; those of an earlier run are replaced. As ourselves: the folder is ours.
  const rootOf = (outs: readonly string[]) =>
    ({ ...query, args: ['--realise', ...outs, '--add-root', `${options.gcRootsDir}/built`], as: 'self' }) as const;
  const { after, onResult } = options;
  const watch: BuildWatch | undefined =
    after === undefined || onResult === undefined
      ? undefined
      : new BuildWatch({
          wanted,
          missing: async (outs) => {
            const { code, stdout } = await run(checkOf(outs));
            return code === 0 ? new Set(linesOf(stdout)) : undefined;
          },
          keep: async (outs) => options.gcRootsDir === undefined || (await run(rootOf(outs))).code === 0,
          blame: async (missing) => {
            const sure = log.failures().filter(({ text }) => buildHasFailed.test(text));
            const blamed = await blame(missing, sure, run, query);
            return new Map([...blamed].map(([drv, culprit]) => [drv, buildFailure(culprit, drv)]));
          },
          log,
          onResult,
          nowMs: options.nowMs,
          after,
        });
  const building = run(call);
  watch?.begin();
  const result = await building;
  await watch?.stop();
  const told = watch?.told ?? new Map<string, BuildResult>();
  if (result.code === 0 && names.every((name) => told.get(name)?.ok))
    return { results: Object.fromEntries(told), builds: log.builds, warnings: [] };

  // With one failure it prints none of the others, so the store is asked. It is asked after success, too: this is what is served.
  const check = checkOf([...outputs.keys()]);
  const checked = await run(check);
  let general: NixFailure | undefined;
  if (result.code !== 0) general = failureOf(call, result, log, 'build-failed');
  const missing = new Set<string>();
  if (checked.code === 0) {
    for (const path of linesOf(checked.stdout)) missing.add(path);
  } else {
    general ??= failureOf(check, checked);
    for (const out of outputs.keys()) missing.add(out);
  }

  const missingDrvs = new Set([...missing].map((out) => outputs.get(out)?.drv ?? ''));
  const blamed =
    missing.size === 0 ? new Map<string, BuildFailure>() : await blame(missingDrvs, log.failures(), run, query);
  const results = names.map((name): [string, BuildResult] => {
    const already = told.get(name);
    if (already !== undefined) return [name, already];
    const absent = wanted[name]!.find((output) => missing.has(output.out));
    if (!absent) return [name, { ok: true }];
    const culprit = blamed.get(absent.drv);
    if (culprit) return [name, { ok: false, failure: buildFailure(culprit, absent.drv) }];
    const text = `${storeName(absent.out)} was not built`;
    return [name, { ok: false, failure: general ?? { cause: 'build-failed', text, log: [], drv: absent.drv } }];
  });

  const warnings: string[] = [];
  // In the order in which they were kept before.
  const present = [...new Set([...(watch?.kept ?? []), ...outputs.keys()])].filter((out) => !missing.has(out));
  if (options.gcRootsDir !== undefined && present.length > 0) {
    const root = rootOf(present);
    const rooted = await run(root);
    if (rooted.code !== 0) {
      warnings.push(`what was built is not kept from nix's garbage collection: ${failureOf(root, rooted).text}`);
    }
  }
  for (const [name, each] of results) if (!told.has(name)) onResult?.(name, each);
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

function linesOf(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}
