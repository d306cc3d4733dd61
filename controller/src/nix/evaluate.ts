// Asks the flake once for all machines and installers. One that is broken stops no other: what can be caught is caught inside the one
// evaluation; what can't (a missing attribute, a wrong type) makes the call fail, and then halves are asked until the culprit stands alone.
import type { Host, System } from '../machine/host.ts';
import { parseAnswer } from './answer-error.ts';
import type { RunNix } from './command.ts';
import { askInstaller, askMany, askOne, readAnswers, readHost, readInstaller } from './expression.ts';
import { failureOf, NixError, withAdvice } from './failure.ts';
import { type FolderProbe, installerAttrPath, parseFlakeRef, printAttrPath } from './flake-ref.ts';
import { nixLog } from './log.ts';
import { pin } from './pin.ts';
import type { Evaluation, HostEvaluation, InstallerEvaluation, NixFailure, NixProgress, PinnedFlake } from './types.ts';

export interface EvaluateOptions {
  /** As the operator wrote it. */
  readonly flake: string;
  /** As the operator wrote them; `#name` alone is one of the flake's own. */
  readonly installers: Readonly<Partial<Record<System, string>>>;
  readonly hosts: readonly Pick<Host, 'name' | 'flakeAttr'>[];
  readonly run: RunNix;
  /** Folder that relative references start from. */
  readonly cwd: string;
  readonly probe: FolderProbe;
  readonly nowMs: () => number;
  readonly onProgress?: (progress: NixProgress) => void;
  readonly signal?: AbortSignal;
  /** For each call of nix. */
  readonly deadlineMs?: number;
  /** Configurations in one evaluation: each needs memory, and nix gives none back. */
  readonly perCall?: number;
}

type Kind = 'hosts' | 'installers';
interface Wanted {
  readonly kind: Kind;
  readonly attr: string;
}
type Found = { value: unknown } | { failure: NixFailure };

const defaultDeadlineMs = 45 * 60_000;
const defaultPerCall = 50;
/** Hosts that are evaluated once more to hear nix's own words; the others are told to be like them. */
const maxExplained = 8;

/**
 * Rejects with {@link NixError} when the flake as a whole can't be read or evaluated, and with an Error for a reference that can't be
 * understood. Otherwise there is an entry for each host and installer asked for.
 */
export async function evaluate(options: EvaluateOptions): Promise<Evaluation> {
  const { cwd, probe, hosts } = options;
  const ref = parseFlakeRef(options.flake, cwd, probe);
  if (ref.attrPath.length > 0 && ref.attrPath.join() !== 'nixosConfigurations') {
    throw new Error(
      `flake ${JSON.stringify(options.flake)}: an attribute (#${ref.attrPath.join('.')}) has no meaning here; the attribute of each host is its name or its flake_attr in the hosts file`,
    );
  }
  const settings = { run: options.run, nowMs: options.nowMs, deadlineMs: options.deadlineMs ?? defaultDeadlineMs };
  const shared = {
    ...settings,
    ...(options.signal ? { signal: options.signal } : {}),
    ...(options.onProgress ? { onProgress: options.onProgress } : {}),
  };
  options.onProgress?.({ text: `reading flake ${ref.url}` });
  const flake = await pin(ref, shared);
  const warnings: string[] = [];
  if (flake.dirty)
    warnings.push(`${flake.given} has changes that are not committed: what is installed can not be traced to a commit`);

  // Which installers the same evaluation can answer, and which need one of their own.
  const inside: { system: System; attr: string }[] = [];
  const outside: {
    system: System;
    url: string;
    attrPath: readonly string[];
    pinned?: PinnedFlake;
    failure?: NixFailure;
  }[] = [];
  const pins = new Map<string, Promise<PinnedFlake>>([[ref.url, Promise.resolve(flake)]]);
  for (const [system, text] of Object.entries(options.installers) as [System, string][]) {
    const installer = parseFlakeRef(text, cwd, probe);
    const url = text.startsWith('#') ? ref.url : installer.url;
    const attrPath = installerAttrPath(installer.attrPath);
    const pinned = pins.get(url) ?? pin({ ...installer, url }, shared);
    pins.set(url, pinned);
    try {
      const tree = await pinned;
      const same =
        url === ref.url ||
        (tree.narHash !== undefined && tree.narHash === flake.narHash && dirOf(tree) === dirOf(flake));
      const attr = attrPath[0] === 'nixosConfigurations' && attrPath.length === 2 ? attrPath[1]! : undefined;
      if (same && attr !== undefined) inside.push({ system, attr });
      else outside.push({ system, url, attrPath, pinned: same ? flake : tree });
    } catch (error) {
      if (!(error instanceof NixError)) throw error;
      outside.push({ system, url, attrPath, failure: error.failure });
    }
  }

  const wanted: Wanted[] = [
    ...unique(inside.map((one) => one.attr)).map((attr) => ({ kind: 'installers', attr }) as const),
    ...unique(hosts.map((host) => host.flakeAttr)).map((attr) => ({ kind: 'hosts', attr }) as const),
  ];
  const ask = asker(flake, shared, hosts.length);
  const found = await ask.all(wanted, options.perCall ?? defaultPerCall);

  const hostEntries = hosts.map((host): [string, HostEvaluation] => [
    host.name,
    judge(found.get(`hosts ${host.flakeAttr}`), host.flakeAttr, ask.names(), readHost),
  ]);
  const installers: Partial<Record<System, InstallerEvaluation>> = {};
  for (const { system, attr } of inside) {
    installers[system] = rightPlatform(
      system,
      judge(found.get(`installers ${attr}`), attr, ask.names(), readInstaller),
    );
  }
  for (const one of outside) {
    installers[one.system] = one.failure
      ? { ok: false, failure: one.failure }
      : rightPlatform(one.system, await evaluateInstaller(one.pinned!, one.attrPath, shared));
  }
  return { flake, hosts: Object.fromEntries(hostEntries), installers, warnings };
}

type Shared = Pick<EvaluateOptions, 'run' | 'nowMs' | 'signal' | 'onProgress'> & { readonly deadlineMs: number };

function asker(flake: PinnedFlake, shared: Shared, hostCount: number) {
  const found = new Map<string, Found>();
  const names = new Set<string>();
  let explained = 0;
  let firstFailure: string | undefined;

  async function explain(one: Wanted): Promise<NixFailure> {
    if (explained >= maxExplained && firstFailure !== undefined) {
      const text = `evaluation failed; ${explained} other hosts were asked for the reason, the first said: ${firstFailure}`;
      return { cause: 'evaluation', text, log: [] };
    }
    explained++;
    const answer = await apply(`${flake.url}#nixosConfigurations`, askOne(one.kind, one.attr), shared);
    const failure: NixFailure =
      'failure' in answer
        ? answer.failure
        : {
            cause: 'evaluation',
            text: 'evaluation failed at first and worked when repeated: it is not always the same',
            log: [],
          };
    firstFailure ??= failure.text;
    return failure;
  }

  async function some(group: readonly Wanted[]): Promise<void> {
    if (group.length === 0) return;
    const of = (kind: Kind) => group.filter((one) => one.kind === kind).map((one) => one.attr);
    const answer = await apply(`${flake.url}#nixosConfigurations`, askMany(of('hosts'), of('installers')), shared);
    if ('failure' in answer) {
      if (isFinal(answer.failure)) throw new NixError('evaluate flake', answer.failure);
      if (group.length === 1) {
        if (names.size === 0) await learnNames();
        firstFailure ??= answer.failure.text;
        found.set(key(group[0]!), answer);
        return;
      }
      // Is it one of them, or the flake itself?
      if (names.size === 0) await learnNames();
      const middle = Math.ceil(group.length / 2);
      await some(group.slice(0, middle));
      await some(group.slice(middle));
      return;
    }
    const answers = readAnswer('evaluate flake', () => readAnswers(answer.stdout));
    for (const name of answers.names) names.add(name);
    for (const one of group) {
      const value = Object.hasOwn(answers[one.kind], one.attr) ? answers[one.kind][one.attr] : undefined;
      if (value === undefined) continue;
      const entry = (value ?? {}) as { value?: unknown; failed?: true };
      found.set(key(one), entry.failed ? { failure: await explain(one) } : { value: entry.value });
    }
  }

  async function learnNames(): Promise<void> {
    const answer = await apply(`${flake.url}#nixosConfigurations`, 'builtins.attrNames', shared);
    if ('failure' in answer) throw new NixError('evaluate flake', answer.failure);
    const list = readAnswer('evaluate flake', () => parseAnswer('nix eval', answer.stdout));
    if (Array.isArray(list)) for (const name of list) names.add(String(name));
  }

  return {
    names: () => [...names].sort(),
    async all(wanted: readonly Wanted[], perCall: number): Promise<Map<string, Found>> {
      for (let from = 0; from < wanted.length; from += perCall) {
        shared.onProgress?.({ text: `evaluating ${hostCount} ${hostCount === 1 ? 'host' : 'hosts'}` });
        await some(wanted.slice(from, from + perCall));
      }
      return found;
    },
  };
}

function key(one: Wanted): string {
  return `${one.kind} ${one.attr}`;
}

/** Asking again, or for less, gives the same. */
function isFinal(failure: NixFailure): boolean {
  const final = [
    'aborted',
    'deadline',
    'missing-program',
    'disk-full',
    'features-off',
    'foreign-owner',
    'daemon-refused',
    'not-a-flake',
  ];
  return final.includes(failure.cause);
}

async function evaluateInstaller(
  tree: PinnedFlake,
  attrPath: readonly string[],
  shared: Shared,
): Promise<InstallerEvaluation> {
  const attr = printAttrPath(attrPath);
  shared.onProgress?.({ text: `evaluating installer ${tree.given}#${attr}` });
  const answer = await apply(`${tree.url}#${attr}`, askInstaller(), shared);
  if ('failure' in answer) return { ok: false, failure: answer.failure };
  const value = readAnswer(`evaluate installer ${attr}`, () => parseAnswer('nix eval', answer.stdout));
  return judge({ value }, attr, [], readInstaller);
}

/** What can't be read is a failure of nix like any other. */
function readAnswer<T>(verb: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new NixError(verb, { cause: 'unknown', text: (error as Error).message, log: [] });
  }
}

async function apply(
  target: string,
  expression: string,
  shared: Shared,
): Promise<{ stdout: string } | { failure: NixFailure }> {
  const log = nixLog();
  const call = {
    program: 'nix',
    args: ['eval', '--json', '--log-format', 'internal-json', '--no-write-lock-file', target, '--apply', expression],
    deadlineMs: shared.deadlineMs,
    ...(shared.signal ? { signal: shared.signal } : {}),
    onLine: (line: string) => {
      const progress = log.line(line, shared.nowMs());
      if (progress) shared.onProgress?.(progress);
    },
  } as const;
  const result = await shared.run(call);
  // The status first: a call that fails may leave half an object on stdout.
  return result.code === 0 ? { stdout: result.stdout } : { failure: failureOf(call, result, log, 'evaluation') };
}

function judge<Value>(
  entry: Found | undefined,
  attr: string,
  names: readonly string[],
  read: (value: unknown) => Value | string,
): { ok: true; value: Value } | { ok: false; failure: NixFailure } {
  if (entry === undefined) {
    const shown = names.length === 0 ? 'none' : names.slice(0, 12).join(', ') + (names.length > 12 ? ', …' : '');
    const text = `the flake has no nixosConfigurations.${printAttrPath([attr])}; it has: ${shown}`;
    return { ok: false, failure: { cause: 'missing-attribute', text, log: [] } };
  }
  if ('failure' in entry) return { ok: false, failure: entry.failure };
  const value = read(entry.value);
  if (typeof value === 'string') return { ok: false, failure: { cause: 'incomplete', text: value, log: [] } };
  return { ok: true, value };
}

function rightPlatform(system: System, evaluation: InstallerEvaluation): InstallerEvaluation {
  if (!evaluation.ok || evaluation.value.system === undefined || evaluation.value.system === system) return evaluation;
  const text = withAdvice('incomplete', `the installer for ${system} is built for ${evaluation.value.system}`);
  return { ok: false, failure: { cause: 'incomplete', text, log: [] } };
}

function dirOf(flake: PinnedFlake): string {
  return new URLSearchParams(flake.url.split('?')[1] ?? '').get('dir') ?? '';
}

function unique<Item>(items: readonly Item[]): Item[] {
  return [...new Set(items)];
}
