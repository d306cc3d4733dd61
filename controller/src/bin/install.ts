// `nixie install` and `nixie serve`: the daemon with the view on one side and the signals on the other.
import { killAllGroups } from '../child/groups.ts';
import { askSecrets } from '../cli/ask.ts';
import type { Paint } from '../cli/colour.ts';
import {
  type ExitCode,
  exitCodeOfEnds,
  exitCodeOfError,
  exitCodeOfSignal,
  exitCodes,
  type StopSignal,
} from '../cli/exit-codes.ts';
import { watchSignals } from '../cli/signals.ts';
import { openTerminal } from '../cli/terminal.ts';
import { openView, type Screen, type View } from '../cli/view.ts';
import { after } from '../clock.ts';
import type { ConfigResult } from '../config/flags.ts';
import type { RunConfig } from '../config/run-config.ts';
import { type DaemonWorld, runInstall } from '../daemon.ts';
import { withoutSecrets } from '../install/secrets.ts';
import { inheritedUdp, serviceVariables } from '../listen/inherited.ts';
import type { Stage } from '../machine/stage.ts';
import { dryRunPart, prepareRun } from '../preparation.ts';
import { flakeRights } from '../rights.ts';
import { notify, watchdog } from './notify.ts';
import { becomeUndumpable } from './undumpable.ts';

export interface InstallWorld {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly uid: number;
  /** Of nixie. */
  readonly version?: string;
  readonly screen: Screen;
  readonly paint: Paint;
  /** Ends this process; only for a second signal. */
  readonly exit: (code: ExitCode) => never;
}

/**
 * Resolves with the exit status; what went wrong with the run as a whole has been said by then.
 * @param read absent: it ends when all hosts have ended. Otherwise it is a service: SIGHUP has options and files read again by this, SIGTERM is
 *   its usual end, and it writes lines for a journal.
 */
export async function install(
  config: RunConfig,
  warnings: readonly string[],
  world: InstallWorld,
  read?: () => ConfigResult,
): Promise<ExitCode> {
  const began = Date.now();
  const now = () => new Date().toISOString();
  const ticker = {
    now: Date.now,
    after,
  };
  const secret = !config.dryRun && config.hosts.some((host) => host.secrets !== undefined);
  const dumpable = secret && !becomeUndumpable();
  // Before anything is served, and before the view takes the terminal.
  const prompted = config.dryRun ? new Map<string, Buffer>() : await askSecrets(config.hosts, openTerminal);
  const view = openView(
    {
      mode: config.json ? 'json' : 'people',
      hosts: config.hosts.map(({ name }) => name),
      debug: config.debug,
      paint: world.paint,
    },
    read === undefined ? world.screen : { ...world.screen, isTerminal: false },
    ticker,
  );
  // However this process ends, also by a defect: no child of it goes on writing to a machine.
  const endChildren = () => void killAllGroups();
  process.on('exit', endChildren);
  const abort = new AbortController();
  let stoppedBy: StopSignal | undefined;
  let endWatchdog = () => {};
  let reload: (() => void) | undefined;
  const unsaid = (text: string) => view.show({ event: 'notice', at: now(), level: 'warning', text });
  const unwatch = watchSignals(process, Date.now, {
    first: (signal) => {
      stoppedBy = signal;
      view.show({ event: 'notice', at: now(), level: 'warning', text: `${signal}: ending; once more ends at once` });
      if (read !== undefined) notify(world.env, 'STOPPING=1', unsaid);
      abort.abort();
    },
    ...(read === undefined ? {} : { reload: () => reload?.() }),
    second: (signal) => {
      view.close({ table: false });
      endChildren();
      world.exit(exitCodeOfSignal[signal]);
    },
  });
  const end = (code: ExitCode, table: boolean): ExitCode => {
    const usual = read !== undefined && stoppedBy === 'SIGTERM';
    const told = stoppedBy === undefined ? code : usual ? exitCodes.done : exitCodeOfSignal[stoppedBy];
    view.show({ event: 'end', at: now(), exit_code: told, seconds: Math.round((Date.now() - began) / 100) / 10 });
    view.close({ table });
    return told;
  };
  try {
    const more = dumpable
      ? ['should this process crash, its core dump may hold secrets: they could not be switched off']
      : [];
    for (const text of [...warnings, ...more]) view.show({ event: 'notice', at: now(), level: 'warning', text });
    const { cwd, uid } = world;
    const env = Object.fromEntries(
      Object.entries(world.env).filter(([name]) => !(serviceVariables as readonly string[]).includes(name)),
    );
    const service =
      read === undefined
        ? undefined
        : {
            read,
            onReload: (call: () => void) => {
              reload = call;
            },
            ready(answers: () => Promise<unknown>) {
              notify(world.env, 'READY=1', unsaid);
              endWatchdog = watchdog(answers, {
                env: world.env,
                pid: process.pid,
                every(ms, call) {
                  const timer = setInterval(call, ms);
                  return () => clearInterval(timer);
                },
                tell: (word) => notify(world.env, word, unsaid),
                failed: unsaid,
              });
            },
          };
    const daemonWorld: DaemonWorld = {
      env,
      cwd,
      uid,
      ...(world.version !== undefined && { version: world.version }),
      prompted,
      emit: view.show,
      signal: abort.signal,
      ...(service === undefined ? {} : { service, inherited: inheritedUdp(world.env, process.pid) }),
    };
    const ends = config.dryRun ? await dryRun(config, daemonWorld, view) : (await runInstall(config, daemonWorld)).ends;
    return end(exitCodeOfEnds(ends.values()), !config.dryRun && read === undefined);
  } catch (error) {
    if (stoppedBy === undefined)
      for (const text of (error as Error).message.split('\n'))
        view.show({ event: 'notice', at: now(), level: 'error', text });
    return end(exitCodeOfError(error), false);
  } finally {
    endWatchdog();
    unwatch();
    endChildren();
    process.off('exit', endChildren);
  }
}

/** Evaluates and builds, and says what a run would do; a host that can't be built counts as failed. */
async function dryRun(config: RunConfig, world: DaemonWorld, view: View): Promise<ReadonlyMap<string, Stage>> {
  const now = () => new Date().toISOString();
  const env = withoutSecrets(world.env, config.hosts);
  const rights = await flakeRights(config, { ...world, env });
  const prepared = await prepareRun(config, { ...world, env, rights, part: dryRunPart }, view.show);
  for (const text of [...(rights.notice === undefined ? [] : [rights.notice]), ...prepared.warnings])
    view.show({ event: 'notice', at: now(), level: 'warning', text });
  const ends = new Map<string, Stage>();
  for (const host of config.hosts) {
    const plan = prepared.plans.get(host.name);
    const failure = prepared.failures.get(host.name);
    ends.set(host.name, plan === undefined ? 'failed' : 'proved');
    const lose =
      config.reinstall.has(host.name) || host.wipe ? ', whatever its disks hold' : ', unless its disks hold data';
    const text =
      plan === undefined
        ? `can not be installed: ${failure?.text ?? 'it was not built'}`
        : `would get ${plan.system.toplevel.out}${lose}`;
    view.show({ event: 'notice', at: now(), host: host.name, level: plan === undefined ? 'error' : 'info', text });
  }
  return ends;
}
