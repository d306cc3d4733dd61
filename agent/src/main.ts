// nixie-agent: the program in the installer image.
import { randomBytes } from 'node:crypto';
import { appendFileSync, existsSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startupSnapshot } from 'node:v8';
import { logVerbosity, setLogVerbosity } from '@grpc/grpc-js';
import type { Progress } from '@nixie/proto/agent';
import { writeInventoryJson } from '@nixie/proto/inventory-json';
import { installKeys } from './authorized-keys.ts';
import { checkIn } from './check-in.ts';
import { killAllChildren, run } from './child.ts';
import { diskNamesNow, FirstInventory } from './first-inventory.ts';
import { HardwareReports } from './hardware-report.ts';
import { type Log, realClock } from './host.ts';
import { loadIdentity } from './identity.ts';
import { Instructions } from './instructions.ts';
import { collectInventory } from './inventory/collect.ts';
import { runFacter } from './inventory/facter.ts';
import { nixosOn } from './inventory/foreign-system.ts';
import { hardwareParts } from './inventory/hardware-parts.ts';
import { raiseLinks, raiseWorld } from './inventory/raise-links.ts';
import { recordMachine } from './inventory/record-machine.ts';
import { machineSource } from './inventory/source.ts';
import { leave } from './leave.ts';
import { live } from './life.ts';
import { linkDisk } from './link-disk.ts';
import { LogQueue } from './log-queue.ts';
import { followMachine } from './log-sources.ts';
import { cleanLine } from './log-text.ts';
import { keepNotified } from './notify.ts';
import { makePower } from './power.ts';
import { endLogins } from './processes.ts';
import { watchInstall } from './progress.ts';
import { releaseMemory } from './release-memory.ts';
import { resetDisks } from './reset-disks.ts';
import { helpText, readCommand, type Settings, UsageError } from './settings.ts';
import { wantMoreThreads } from './threads.ts';
import { useCache } from './use-cache.ts';
import { agentCommit, agentVersion, versionLine } from './version.ts';

/** Writes to the machine's screen or serial line, when there is one and our own lines don't go there anyway. */
function toConsole(root: string, line: string): void {
  if (process.stderr.isTTY) return;
  try {
    const device = join(root, 'dev/console');
    if (statSync(device).isCharacterDevice()) appendFileSync(device, `\r${line}\r\n`);
  } catch {
    // nobody looks
  }
}

function makeLog(root: string, logs: LogQueue): Log {
  const write = (text: string): string => {
    const line = cleanLine(text);
    process.stderr.write(`nixie-agent: ${line}\n`);
    logs.add({ ticks: realClock.ticks(), source: 'agent', text: line });
    return line;
  };
  return {
    info: (text) => void write(text),
    loud: (text) => toConsole(root, `nixie-agent: ${write(text)}`),
  };
}

function readBootId(root: string): string {
  try {
    return readFileSync(join(root, 'proc/sys/kernel/random/boot_id'), 'utf8').trim();
  } catch (error) {
    throw new UsageError(`read boot_id: ${(error as Error).message}`);
  }
}

function readVitals(root: string): { uptimeMs: number; memoryAvailableBytes: number } {
  const text = (path: string): string => {
    try {
      return readFileSync(join(root, path), 'utf8');
    } catch {
      return '';
    }
  };
  const kib = /^MemAvailable:\s+(\d+) kB/m.exec(text('proc/meminfo'))?.[1];
  return {
    uptimeMs: Math.trunc((Number.parseFloat(text('proc/uptime')) || 0) * 1000),
    memoryAvailableBytes: Number(kib ?? 0) * 1024,
  };
}

async function runAgent(settings: Settings, notes: readonly string[]): Promise<void> {
  const { root } = settings;
  const real = root === '/';
  const clock = realClock;
  const logs = new LogQueue({ stream: randomBytes(8).readBigUInt64LE() });
  const log = makeLog(root, logs);
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  log.info(
    `version ${agentVersion}${agentCommit && `, commit ${agentCommit.slice(0, 12)}`}, node ${process.version}, controller ${settings.controllers.join(', ')}`,
  );
  for (const note of notes) log.info(`kernel command line: ${note}`);

  const power = makePower(real, clock, log);
  const identity = loadIdentity(settings.stateFolder, readBootId(root), settings.fingerprint);
  const settle = async (): Promise<void> => {
    // Names below /dev/disk are udev's work; where there is no udev there is nothing to wait for.
    if (real) await run(['udevadm', 'settle', '--timeout=5'], { deadlineMs: 6000 });
  };
  const guard = (): void => {
    if (!real) throw new Error('not done: the agent looks at a tree of its own, not at the machine');
  };
  let reachedBy: string | undefined;
  let heldWith = '';
  const instructions = new Instructions({
    inspect: async () => {
      await settle();
      return collectInventory({
        root,
        bootMac: settings.bootMac,
        reachedBy,
        diskDeadlineMs: 20_000,
        // Not at registration: a boot should be quick, and nothing is written before a disk is looked at again.
        ...(real ? { findSystem: nixosOn } : {}),
      });
    },
    resetDisks: async () => {
      guard();
      const problems = await resetDisks(root, clock, log);
      if (problems.length > 0) throw new Error(problems.join('; '));
    },
    linkDisk: async (wanted) => {
      guard();
      await settle();
      // In this moment, not by what was told before.
      const { disks } = await collectInventory({ root, diskDeadlineMs: 20_000 });
      await linkDisk(root, wanted, disks);
      log.info(`the layout's disk is ${wanted.path}`);
    },
    abort: async () => {
      guard();
      log.info(`abort: ended ${await endLogins(root, clock)} processes of ssh logins`);
    },
    authorize: (lines) => {
      const odd = installKeys(settings.authorizedKeysFile, lines);
      if (odd.length > 0) throw new Error(`${odd.length} of ${lines.length} lines are no keys`);
      log.info(`the controller gave ${lines.length} keys anew`);
    },
    useCache: (cache) => {
      useCache(settings.nixConfFile, cache, heldWith);
      log.info(
        cache.publicKey === '' ? 'no binary cache any more' : `nix asks the binary cache of ${heldWith} as well`,
      );
    },
    power: (action, delayMs) => {
      // The answer needs a moment to leave.
      setTimeout(() => void power.now(action, 'the controller said so'), Math.max(500, Math.min(delayMs, 600_000)));
    },
  });

  let sendProgress: ((progress: Progress) => void) | undefined;
  const inBackground = (part: Promise<void>): void =>
    void part.catch((error: unknown) => log.info(`a background part ended: ${error}`));
  inBackground(keepNotified(process.env, clock, stop.signal));
  const hardware = new HardwareReports({
    ...hardwareParts(root, () => ({ bootMac: settings.bootMac, reachedBy }), settings.stateFolder, settings.linksUpMs),
    gathered: releaseMemory,
    clock,
    log,
    signal: stop.signal,
  });
  const first = new FirstInventory(
    async () => {
      if (existsSync('/run/udev/queue')) await settle();
      // Whether disks are blank is asked right before they are written to; here it would keep a machine from its registration.
      return await collectInventory({ root, bootMac: settings.bootMac, proveBlank: false });
    },
    // While udev has work, names are still to come.
    () => (existsSync('/run/udev/queue') ? String(clock.ticks()) : diskNamesNow(root)),
    clock,
  );
  let following = false;
  await live({
    settings,
    identity,
    instructions,
    logs,
    clock,
    log,
    power,
    beginInventory: () => first.begin(),
    inventory: (localAddress) => {
      reachedBy = localAddress;
      return first.take(localAddress);
    },
    vitals: () => readVitals(root),
    holding: (endpoint) => {
      heldWith = endpoint;
    },
    carryProgress: (send) => {
      sendProgress = send;
      // Not before somebody can hear it: what the journal holds from earlier comes with it, and a boot should be quick.
      if (following || send === undefined) return;
      following = true;
      inBackground(watchInstall(root, (progress) => sendProgress?.(progress), clock, stop.signal));
      if (!real) return;
      const placeFile = join(settings.stateFolder, 'log-place');
      inBackground(followMachine({ queue: logs, clock, signal: stop.signal, placeFile, ownPid: process.pid }));
    },
    carryHardware: (send) => hardware.carry(send),
    signal: stop.signal,
  });
}

/** @throws when not all of it could be written; a reader that has seen enough may go */
async function print(text: string): Promise<void> {
  const failure = await new Promise<NodeJS.ErrnoException | null | undefined>((resolve) => {
    process.stdout.once('error', resolve);
    process.stdout.write(text, resolve);
  });
  if (failure != null && failure.code !== 'EPIPE') throw new Error(`write standard output: ${failure.message}`);
}

async function main(): Promise<number> {
  const command = readCommand(process.argv.slice(2));
  switch (command.kind) {
    case 'help':
      process.stdout.write(helpText);
      return 0;
    case 'version':
      process.stdout.write(`${versionLine(agentCommit || (process.env.NIXIE_COMMIT ?? ''), process.version)}\n`);
      return 0;
    case 'inventory':
      if (command.root === '/') await raiseLinks(raiseWorld(machineSource, realClock), command.linksUpMs, undefined);
      await print(`${writeInventoryJson(await collectInventory({ root: command.root, depth: 'full' }))}\n`);
      return 0;
    case 'record': {
      const facter = await runFacter(tmpdir(), run);
      const said = await recordMachine(machineSource, command.folder, 'json' in facter ? facter.json : undefined);
      process.stderr.write(said.map((line) => `nixie-agent: ${line}\n`).join(''));
      return 0;
    }
    case 'check-in':
      await checkIn(command.settings);
      process.stdout.write('nixie-agent: the controller knows that this system has booted\n');
      return 0;
    case 'fetch': {
      const stop = new AbortController();
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
      const say = (line: string): void => {
        process.stderr.write(`nixie-agent: ${line}\n`);
        toConsole('/', `nixie-agent: ${line}`);
      };
      // Most machines never need it.
      const { runFetch } = await import('./fleet/run.ts');
      await runFetch(command.settings, process.env, say, stop.signal);
      return 0;
    }
    case 'run':
      await runAgent(command.settings, command.notes);
      return 0;
  }
}

function begin(): void {
  wantMoreThreads(process.env);
  // What the library reports comes back as errors; its own lines on stderr would only say it twice.
  setLogVerbosity(logVerbosity.NONE);
  process.on('exit', killAllChildren);
  main().then(
    (code) => leave(code, process.exit),
    (error: unknown) => {
      // A defect is told with its place, anything else by its words.
      const defect = error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError;
      const told = error instanceof Error ? (defect ? error.stack : error.message) : error;
      process.stderr.write(`nixie-agent: ${told}\n`);
      leave(error instanceof UsageError ? 2 : 1, process.exit);
    },
  );
}

// The executable holds the program as it is here: loaded, and not yet begun.
if (startupSnapshot.isBuildingSnapshot()) startupSnapshot.setDeserializeMainFunction(begin);
else begin();
