// The program: arguments → configuration → command → exit status.
import { readFileSync } from 'node:fs';
import { paintFor } from '../cli/colour.ts';
import { exitCodeOfError, exitCodeOfSignal, exitCodes } from '../cli/exit-codes.ts';
import { type Handlers, runProgram } from '../cli/program.ts';
import { clean } from '../cli/text.ts';
import type { Screen } from '../cli/view.ts';
import { after, sleep } from '../clock.ts';
import { ConfigError, problemLine } from '../config/problem.ts';
import { realSurroundings } from '../config/surroundings.ts';
import type { InspectWorld } from './inspect.ts';

const { stdout, stderr, env } = process;
// The reader of a pipe, the terminal or room on a disk may go away: a run that writes to machines' disks goes on.
let unwritten = false;
stderr.on('error', () => {});
stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
  if (code === 'EPIPE' || unwritten) return;
  unwritten = true;
  stderr.write(`nixie: write standard output: ${message}; what is said from here on is lost\n`);
});

const around = realSurroundings();
const paint = paintFor(stdout.isTTY === true, env);
const out = (text: string) => void stdout.write(text);
const err = (text: string) => void stderr.write(text);
const screen: Screen = {
  write: out,
  isTerminal: stdout.isTTY === true && env.TERM !== 'dumb',
  get columns() {
    return stdout.columns || 80;
  },
  get rows() {
    return stdout.rows || 24;
  },
};
const { cwd, uid } = around;
const world: InspectWorld = { env, cwd, uid, out, err, paint };
const runWorld = { env, cwd, uid, screen, paint, exit: (code: number) => process.exit(code) };
/** Resolves when the reader has caught up; false when he has gone. */
const written = (text: string): Promise<boolean> =>
  new Promise((resolve) => void stdout.write(text, (error) => resolve(error == null)));
const operateWorld = async () => {
  const { openView } = await import('../cli/view.ts');
  return {
    out,
    err,
    now: Date.now,
    view(hosts: readonly string[]) {
      const view = openView({ mode: 'people', hosts, debug: false, paint }, screen, { now: Date.now, after });
      for (const signal of ['SIGINT', 'SIGTERM'] as const)
        process.once(signal, () => {
          view.close({ table: false });
          process.exit(exitCodeOfSignal[signal]);
        });
      return view;
    },
  };
};
const operate = () => import('./operate.ts');
const inspect = () => import('./inspect.ts');
const installer = () => import('./install.ts');
let isRun = false;
const aRun = async () => {
  isRun = true;
  return await installer();
};
// Each command loads its own part: the whole program takes ten times as long to read as its help.
const handlers: Handlers = {
  install: async (config, warnings) => (await aRun()).install(config, warnings, { ...runWorld, version }),
  serve: async (config, warnings, read) => (await aRun()).install(config, warnings, { ...runWorld, version }, read),
  check: async (config, warnings) => (await inspect()).check(config, warnings, world),
  explain: async (request) => (await inspect()).explain(request, world),
  wake: async (request) => (await inspect()).wake(request, world),
  retry: async (request) => (await operate()).retry(request, await operateWorld()),
  cancel: async (request) => (await operate()).cancel(request, await operateWorld()),
  status: async (request) => (await operate()).status(request, await operateWorld()),
  logs: async (request) => (await import('./logs.ts')).logs(request, { write: written, err, paint, now: Date.now }),
  doctor: async (request) =>
    request.of === 'machines'
      ? (await import('./doctor.ts')).doctorMachines(request, { out, err, paint, now: Date.now })
      : (await import('./survey.ts')).doctorInterfaces(request, { env, out, paint }),
  relayToken: async (request) =>
    (await import('./relay-token.ts')).relayToken(request, { out, err, now: Date.now, sleep }),
  relay: async (request) =>
    (await import('./relay.ts')).relay(request, { env, uid, version, out, exit: runWorld.exit }),
  inventoryOnly: async (run) => {
    const { openTerminal } = await import('../cli/terminal.ts');
    return (await import('./inventory-only.ts')).inventoryOnly(run, { ...runWorld, out, terminal: openTerminal });
  },
  inventory: async (request) =>
    (await import('./inventory.ts')).inventory(request, { out: (text) => void stdout.write(text), err }),
  names: async (request) => (await operate()).names(request),
};
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/** What is written may still be on its way: a pipe that another process made non-blocking takes 64 KiB at a time. */
const drained = () =>
  Promise.all([stdout, stderr].map((stream) => new Promise<void>((resolve) => stream.write('', () => resolve()))));

try {
  const code = await runProgram(process.argv.slice(2), handlers, {
    around,
    out,
    err,
    // A package knows the commit that it was made of.
    version: `${version} (${env.NIXIE_COMMIT ? `commit ${clean(env.NIXIE_COMMIT).slice(0, 12)}, ` : ''}Node ${process.version})`,
    ...(stdout.isTTY && { columns: stdout.columns }),
  });
  await drained();
  // Of a run the status tells what became of its machines.
  process.exit(unwritten && !isRun && code === exitCodes.done ? exitCodes.failed : code);
} catch (error) {
  if (error instanceof ConfigError) {
    const { problems } = error;
    err(`nixie: ${problems.length === 1 ? 'a problem' : `${problems.length} problems`}; nothing was started\n`);
    for (const problem of problems) err(`  ${problemLine(problem)}\n`);
  } else {
    const lines = error instanceof Error ? error.message.split('\n') : [String(error)];
    for (const line of lines) err(`nixie: ${clean(line)}\n`);
    // A defect, not something that the operator could mend.
    if (error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError)
      err(`${error.stack}\n`);
  }
  await drained();
  process.exit(exitCodeOfError(error));
}
