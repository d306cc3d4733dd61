// `nixie relay`: the relay with lines for a journal on one side and signals on the other.
import { killAllGroups } from '../child/groups.ts';
import { type ExitCode, exitCodeOfError, exitCodeOfSignal, exitCodes, type StopSignal } from '../cli/exit-codes.ts';
import type { RelayRequest } from '../cli/relay-request.ts';
import { watchSignals } from '../cli/signals.ts';
import { inheritedUdp } from '../listen/inherited.ts';
import { logJson, logText, type RelayEvent } from '../relay/log-line.ts';
import { runRelay } from '../relay/relay.ts';
import { notify, watchdog } from './notify.ts';

export interface RelayProgramWorld {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly uid: number;
  /** `0.1.0` */
  readonly version: string;
  readonly out: (text: string) => void;
  /** Ends this process; only for a second signal. */
  readonly exit: (code: ExitCode) => never;
}

/** Resolves with the exit status: 0 after SIGTERM, which is its usual end. */
export async function relay(request: RelayRequest, world: RelayProgramWorld): Promise<ExitCode> {
  const { json, ...settings } = request;
  const { env, uid, version, out } = world;
  const log = (event: RelayEvent) => out(`${json ? logJson(event, new Date().toISOString()) : logText(event)}\n`);
  const unsaid = (text: string) => log({ name: 'notice', level: 'warning', text });
  const endChildren = () => void killAllGroups();
  process.on('exit', endChildren);
  const abort = new AbortController();
  let stoppedBy: StopSignal | undefined;
  let endWatchdog = () => {};
  const unwatch = watchSignals(process, Date.now, {
    first: (signal) => {
      stoppedBy = signal;
      log({ name: 'end', signal });
      notify(env, 'STOPPING=1', unsaid);
      abort.abort();
    },
    // It reads no file again; who asks a service to do so must not end it.
    reload: () => log({ name: 'notice', text: 'SIGHUP changes nothing: the relay has no file to read again' }),
    second: (signal) => {
      endChildren();
      world.exit(exitCodeOfSignal[signal]);
    },
  });
  try {
    await runRelay(settings, {
      uid,
      version,
      log,
      inherited: inheritedUdp(env, process.pid),
      signal: abort.signal,
      ready(answers) {
        notify(env, 'READY=1', unsaid);
        endWatchdog = watchdog(answers, {
          env,
          pid: process.pid,
          every(ms, call) {
            const timer = setInterval(call, ms);
            return () => clearInterval(timer);
          },
          tell: (word) => notify(env, word, unsaid),
          failed: unsaid,
        });
      },
    });
    return stoppedBy === undefined || stoppedBy === 'SIGTERM' ? exitCodes.done : exitCodeOfSignal[stoppedBy];
  } catch (error) {
    if (stoppedBy !== undefined) return stoppedBy === 'SIGTERM' ? exitCodes.done : exitCodeOfSignal[stoppedBy];
    for (const text of (error as Error).message.split('\n')) log({ name: 'end', level: 'error', text });
    return exitCodeOfError(error);
  } finally {
    endWatchdog();
    unwatch();
    endChildren();
    process.off('exit', endChildren);
  }
}
