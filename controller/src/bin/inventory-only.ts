// `nixie --inventory-only`: asks whether every machine that asks may be booted, unless that was said; then runs, and says what came of it.

import { killAllGroups } from '../child/groups.ts';
import { lines, type Terminal } from '../cli/ask.ts';
import { type ExitCode, exitCodeOfError, exitCodeOfSignal, exitCodes, type StopSignal } from '../cli/exit-codes.ts';
import { plainLines } from '../cli/plain-lines.ts';
import { watchSignals } from '../cli/signals.ts';
import { clean } from '../cli/text.ts';
import type { InventoryRun } from '../config/inventory-run.ts';
import { ConfigError } from '../config/problem.ts';
import { type InventoryRunEnd, type InventoryRunWorld, runInventory } from '../inventory-run.ts';
import type { RunEvent } from '../machine/event.ts';

export interface InventoryOnlyWorld {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly uid: number;
  readonly out: (text: string) => void;
  readonly terminal: () => Terminal | undefined;
  /** Ends this process; only for a second signal. */
  readonly exit: (code: ExitCode) => never;
  /** Absent: the real one. */
  readonly run?: (run: InventoryRun, world: InventoryRunWorld) => Promise<InventoryRunEnd>;
}

/** @throws ConfigError when nobody can be asked */
export async function inventoryOnly(run: InventoryRun, world: InventoryOnlyWorld): Promise<ExitCode> {
  let allowed = run;
  if (run.ask) {
    if (!(await confirmed(run, world))) {
      world.out('nothing was started\n');
      return exitCodes.failed;
    }
    allowed = { ...run, ask: false, allowed: { ...run.allowed, prefixes: [''] } };
  }
  const say = plainLines({ debug: run.debug });
  const show = (event: RunEvent): void => {
    const line = run.json ? JSON.stringify(event) : say(event);
    if (line !== undefined) world.out(`${line}\n`);
  };
  const now = () => new Date().toISOString();
  const tell = (level: 'info' | 'warning' | 'error', text: string) => show({ event: 'notice', at: now(), level, text });
  const endChildren = () => void killAllGroups();
  process.on('exit', endChildren);
  const abort = new AbortController();
  let stoppedBy: StopSignal | undefined;
  const unwatch = watchSignals(process, Date.now, {
    first: (signal) => {
      stoppedBy = signal;
      tell('info', `${signal}: ending; once more ends at once`);
      abort.abort();
    },
    second: (signal) => {
      endChildren();
      world.exit(exitCodeOfSignal[signal]);
    },
  });
  try {
    const { env, cwd, uid } = world;
    const end = await (world.run ?? runInventory)(allowed, { env, cwd, uid, emit: show, signal: abort.signal });
    for (const [mac, reason] of end.failed) tell('warning', `${mac} was answered and not read: ${clean(reason)}`);
    const { length } = end.read;
    tell(
      'info',
      length === 0
        ? 'no machine was read'
        : `${length} ${length === 1 ? 'machine' : 'machines'} in ${run.out}/hosts.json: ${end.read.join(', ')}`,
    );
    // Ctrl-C is its usual end.
    if (stoppedBy !== undefined && stoppedBy !== 'SIGINT') return exitCodeOfSignal[stoppedBy];
    return length > 0 && end.failed.length === 0 ? exitCodes.done : exitCodes.failed;
  } catch (error) {
    if (stoppedBy !== undefined) return exitCodeOfSignal[stoppedBy];
    for (const text of (error as Error).message.split('\n')) tell('error', text);
    return exitCodeOfError(error);
  } finally {
    unwatch();
    endChildren();
    process.off('exit', endChildren);
  }
}

async function confirmed(run: InventoryRun, { terminal }: InventoryOnlyWorld): Promise<boolean> {
  const cannot = (why: string) =>
    new ConfigError([
      {
        where: '--inventory-only',
        text: `${why} whether every machine may be booted; accepted without: --any for all, --any 52:54:00 for MACs that begin so, or --hosts for those of a file`,
      },
    ]);
  const open = terminal();
  if (open === undefined) throw cannot('there is no terminal to ask on');
  const where = run.interfaces.length === 0 ? 'the networks of this computer' : run.interfaces.join(', ');
  const typed = lines();
  try {
    open.write(
      `Every machine that boots from ${where} is booted into the installer, read and switched off, whoever's it is.\r\nNothing is written to any disk. Go on? [y/N] `,
    );
    for (let answer = typed.next(); ; answer = typed.next()) {
      if (answer !== undefined) {
        open.write('\r\n');
        return /^y(?:es)?$/i.test(answer.toString().trim());
      }
      const bytes = await open.read();
      if (bytes === undefined) throw cannot('the terminal ended before it was said');
      if (typed.push(bytes) === 'interrupted') {
        open.write('\r\n');
        return false;
      }
    }
  } finally {
    open.close();
  }
}
