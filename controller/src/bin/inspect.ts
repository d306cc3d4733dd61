// The commands that install nothing: check, explain, wake.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { checkJson, checkLines, hasProblems, judgeEvaluation } from '../cli/check.ts';
import type { Paint } from '../cli/colour.ts';
import { type ExitCode, exitCodeOfSignal, exitCodes, type StopSignal } from '../cli/exit-codes.ts';
import { type ExplainRequest, UsageError } from '../cli/program.ts';
import { watchSignals } from '../cli/signals.ts';
import { clean } from '../cli/text.ts';
import type { WakeRequest } from '../cli/wake-request.ts';
import type { RunConfig } from '../config/run-config.ts';
import { makeStateDir } from '../config/state-dir.ts';
import { subnetWarnings, wakePlaces } from '../core/network.ts';
import { explainFile } from '../explain/explain.ts';
import { UnknownInput } from '../explain/input.ts';
import { chooseInterfaces, listInterfaces, ownAddresses } from '../listen/interfaces.ts';
import { wake as sendMagic } from '../listen/wake.ts';
import { evaluate } from '../nix/evaluate.ts';
import { folderProbe, makeRunner } from '../nix/runner.ts';
import { flakeRights } from '../rights.ts';

export interface InspectWorld {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly uid: number;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly paint: Paint;
}

/** Evaluates the flake for the hosts of the configuration and says what is wrong. Exit status 1 when some of it can't be used. */
export async function check(config: RunConfig, warnings: readonly string[], world: InspectWorld): Promise<ExitCode> {
  const { env, cwd } = world;
  const abort = new AbortController();
  let stoppedBy: StopSignal | undefined;
  const stop = (signal: StopSignal) => {
    stoppedBy ??= signal;
    abort.abort();
  };
  const unwatch = watchSignals(process, Date.now, { first: stop, second: stop });
  try {
    makeStateDir(config.stateDir, world.uid);
    const rights = await flakeRights(config, { env, cwd });
    const evaluation = await evaluate({
      flake: config.flake,
      installers: config.installers,
      hosts: config.hosts,
      run: makeRunner(env, rights),
      cwd,
      probe: folderProbe,
      nowMs: Date.now,
      signal: abort.signal,
      deadlineMs: config.buildTimeoutSeconds * 1000,
    });
    const own = ownAddresses().map(({ address }) => address);
    const said = [
      ...warnings,
      ...(rights.notice === undefined ? [] : [rights.notice]),
      ...subnetWarnings(config.subnets, own),
    ];
    const report = judgeEvaluation(config, evaluation, said);
    const lines = config.json
      ? checkJson(report).map((entry) => JSON.stringify(entry))
      : checkLines(report, world.paint);
    world.out(`${lines.join('\n')}\n`);
    return hasProblems(report) ? exitCodes.failed : exitCodes.done;
  } catch (error) {
    if (stoppedBy === undefined) throw error;
    return exitCodeOfSignal[stoppedBy];
  } finally {
    unwatch();
  }
}

/** Exit status 1 when a packet could not be decoded. */
export async function explain(request: ExplainRequest, world: InspectWorld): Promise<ExitCode> {
  const bytes = readCapture(request.capture, world.cwd);
  const { hosts, subnets, dhcp, address } = request;
  try {
    const told = explainFile(bytes, {
      ...(hosts && { hosts }),
      ...(subnets && { subnets }),
      ...(dhcp && { dhcp }),
      ...(address && { address }),
    });
    const text = request.json ? told.json.map((each) => `${JSON.stringify(each)}\n`).join('') : told.text;
    world.out(text.endsWith('\n') || text === '' ? text : `${text}\n`);
    return told.failures > 0 ? exitCodes.failed : exitCodes.done;
  } catch (error) {
    if (error instanceof UnknownInput) throw new UsageError(`explain ${request.capture}: ${error.message}`);
    throw error;
  }
}

/** A file of that name, or else the digits themselves. */
function readCapture(given: string, cwd: string): Uint8Array {
  try {
    return readFileSync(resolve(cwd, given));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const digits = /^[0-9a-fA-F\s:]+$/.test(given) && given.replace(/[\s:]/g, '').length >= 8;
    if (digits && (code === 'ENOENT' || code === 'ENAMETOOLONG'))
      return new TextEncoder().encode(given.replaceAll(':', ''));
    const reason = code === 'ENOENT' ? 'there is no such file, and it is not hexadecimal digits' : message;
    throw new UsageError(`read ${given}: ${reason}`);
  }
}

/** Exit status 1 when for some machine no packet left this computer. */
export async function wake(request: WakeRequest, world: InspectWorld): Promise<ExitCode> {
  const { interfaces, address, secureOn, subnets } = request;
  const all = chooseInterfaces(listInterfaces(), { interfaces, ...(address !== undefined && { address }) });
  const own = ownAddresses().map((each) => each.address);
  let code: ExitCode = exitCodes.done;
  for (const { name, macs, ...place } of request.targets) {
    const { links, beyond } = wakePlaces(place, all, subnets, own);
    const from = [...links.map((link) => link.name), ...beyond.map(({ broadcast }) => `to ${broadcast}`)];
    let sent = 0;
    const failures: string[] = [];
    for (const mac of macs) {
      const report = await sendMagic(mac, links, { beyond, ...(secureOn !== undefined && { secureOn }) });
      sent += report.sent;
      failures.push(...report.failures);
    }
    if (sent === 0) code = exitCodes.failed;
    if (request.json)
      world.out(
        `${JSON.stringify({ name, macs, interfaces: links.map((link) => link.name), beyond: beyond.map(({ broadcast }) => broadcast), sent, failures })}\n`,
      );
    else world.out(`${name}: ${sent} magic packets from ${from.join(', ') || 'nowhere: its relay wakes it'}\n`);
    for (const failure of failures) world.err(`nixie: warning: ${clean(failure)}\n`);
  }
  return code;
}
