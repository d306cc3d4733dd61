/** Makes the lab's flake: Debian's files into the lab's store, their hashes and the machines beside the template of examples/lab. */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run as runChild } from '../child.ts';
import { type DebSet, fetchDebs } from './debs.ts';
import { sha256File, writeIfChanged } from './files.ts';
import { type LabCommand, labStore, onHost } from './nixstore.ts';

const repository = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
const template = join(repository, 'examples/lab');
/** The boot stage that the NixOS module has, too. */
const stage = join(repository, 'installer-nix/stage');
const stageFiles = ['fetch-first', 'init', 'lease'] as const;

/** One machine of the lab: its name in the flake, its disk's serial (virtio, so 1-20 characters), keys that may log in once installed. */
export interface LabMachine {
  name: string;
  serial: string;
  authorizedKeys?: string[];
  /** the root is LUKS: disko wants the key in /tmp/disk.key, the initrd asks for it on the serial console */
  encrypted?: boolean;
  /** what its layout names; default its disk by serial */
  device?: string;
}

export interface LabRequest {
  /** folder for packages and store, some GB; default NIXIE_LAB_CACHE or .cache/lab of the repository */
  cache?: string;
  /** how many machines (machine1.. with disks NIXIE1..), or each of them */
  machines?: number | LabMachine[];
  /** the agent's executable; a stub that only holds the unit open without it */
  agent?: string;
}

export interface Lab {
  cache: string;
  /** flake reference for --installer and --flake: `path:/…`, without fragment */
  flake: string;
  machines: LabMachine[];
  /** argv and environment of a command that sees the lab's store as /nix */
  command(argv: readonly string[]): LabCommand;
  /** runs such a command to its end and gives its stdout; an error carries the end of stderr */
  run(argv: readonly string[], options?: { env?: Record<string, string>; deadlineMs?: number }): Promise<string>;
  /** where a store path lies for programs outside (QEMU's -kernel) */
  onHost(storePath: string): string;
}

/**
 * Prepares artefacts and flake; builds nothing. About 15 s and 70 MB of downloads at first, well below 2 s afterwards. Safe to call from
 * several processes at once.
 */
export async function prepareLab(request: LabRequest = {}): Promise<Lab> {
  const cache = resolve(request.cache ?? process.env.NIXIE_LAB_CACHE ?? join(repository, '.cache/lab'));
  mkdirSync(cache, { recursive: true });
  const command = labStore(cache);
  const run: Lab['run'] = async (argv, { env = {}, deadlineMs = 600_000 } = {}) => {
    const inside = command(argv);
    return (await runChild(inside.argv, { deadlineMs, env: { ...process.env, ...inside.env, ...env } })).stdout;
  };
  const debs = await fetchDebs(cache);
  const machines = listMachines(request.machines ?? 1);
  const artefacts = await addArtefacts(cache, debs, request.agent, run);
  const flake = writeFlake(cache, artefacts, machines);
  return { cache, flake: `path:${flake}`, machines, command, run, onHost: (path) => onHost(cache, path) };
}

function listMachines(machines: number | LabMachine[]): LabMachine[] {
  if (typeof machines !== 'number') return machines;
  return Array.from({ length: machines }, (_, index) => ({ name: `machine${index + 1}`, serial: `NIXIE${index + 1}` }));
}

interface Artefact {
  name: string;
  /** of a file: hex; of the busybox folder: nix's base 32 of its NAR */
  sha256: string;
}

interface Artefacts {
  debs: Record<string, Artefact | Artefact[]>;
  busybox: Artefact;
  agent: Artefact;
}

type Run = (argv: readonly string[]) => Promise<string>;

async function addArtefacts(cache: string, debs: DebSet, agent: string | undefined, run: Run): Promise<Artefacts> {
  const agentFile = join(cache, 'agent', 'nixie-agent');
  mkdirSync(dirname(agentFile), { recursive: true });
  if (!agent)
    writeIfChanged(agentFile, '#!/bin/sh\necho "NIXIE-STAGE agent-stub" > /dev/console\nexec sleep infinity\n');
  const paths = [...debs.machine, ...debs.installer, debs.kernel, ...Object.values(debs.alone)].map((name) =>
    join(debs.folder, name),
  );
  const files = new Map<string, Artefact>();
  for (const path of [...paths, agent ?? agentFile]) {
    const name = path === agent ? 'nixie-agent' : basename(path);
    files.set(path, { name, sha256: await sha256File(path) });
  }
  await addMissing(cache, files, run);
  const of = (name: string): Artefact => files.get(join(debs.folder, name))!;
  return {
    debs: {
      machine: debs.machine.map(of),
      installer: debs.installer.map(of),
      kernel: of(debs.kernel),
      ...Object.fromEntries(Object.entries(debs.alone).map(([name, file]) => [name, of(file)])),
    },
    busybox: await addBusybox(cache, debs, run),
    agent: files.get(agent ?? agentFile)!,
  };
}

/** Puts files into the store, except those that a marker of an earlier run names. */
async function addMissing(cache: string, files: Map<string, Artefact>, run: Run): Promise<void> {
  const added = join(cache, 'added');
  mkdirSync(added, { recursive: true });
  for (const [path, { name, sha256 }] of files) {
    const marker = join(added, `${sha256.slice(0, 32)}-${name}`);
    if (existsSync(marker) && existsSync(onHost(cache, readFileSync(marker, 'utf8')))) continue;
    const storePath = await addNamed(join(added, `${process.pid}`), path, name, run);
    writeIfChanged(marker, storePath);
  }
}

/** Adds a file under a name that may differ from its own: the store path takes the file's name. */
async function addNamed(folder: string, path: string, name: string, run: Run): Promise<string> {
  if (basename(path) === name) return (await run(['nix-store', '--add-fixed', 'sha256', path])).trim();
  mkdirSync(folder, { recursive: true });
  try {
    cpSync(path, join(folder, name));
    return (await run(['nix-store', '--add-fixed', 'sha256', join(folder, name)])).trim();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The static busybox and a link for each applet, as a folder in the store. */
async function addBusybox(cache: string, debs: DebSet, run: Run): Promise<Artefact> {
  const deb = debs.alone['busybox-static'];
  const marker = join(cache, 'added', `folder-${deb}.json`);
  if (existsSync(marker)) {
    const { path, ...artefact } = JSON.parse(readFileSync(marker, 'utf8')) as Artefact & { path: string };
    if (existsSync(onHost(cache, path))) return artefact;
  }
  const work = join(cache, `busybox-${process.pid}`);
  const name = 'lab-busybox';
  try {
    await runChild(['dpkg-deb', '-x', join(debs.folder, deb), work]);
    const bin = join(work, name, 'bin');
    mkdirSync(bin, { recursive: true });
    renameSync(join(work, 'bin/busybox'), join(bin, 'busybox'));
    chmodSync(join(bin, 'busybox'), 0o755);
    const applets = (await runChild([join(bin, 'busybox'), '--list'])).stdout;
    for (const applet of applets.trim().split('\n')) {
      if (applet !== 'busybox') symlinkSync('busybox', join(bin, applet));
    }
    const path = (await run(['nix-store', '--add-fixed', '--recursive', 'sha256', join(work, name)])).trim();
    const hash = (await run(['nix-store', '--query', '--hash', path])).trim();
    const artefact = { name, sha256: hash.replace('sha256:', '') };
    writeIfChanged(marker, JSON.stringify({ ...artefact, path }));
    return artefact;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** The template with artefacts.json, lab.json and the boot stage beside it, in a folder named after their content: labs of different tests don't meet. */
function writeFlake(cache: string, artefacts: Artefacts, machines: LabMachine[]): string {
  const generated = {
    'artefacts.json': JSON.stringify(artefacts, null, 1),
    'lab.json': JSON.stringify(
      { machines: Object.fromEntries(machines.map(({ name, ...settings }) => [name, settings])) },
      null,
      1,
    ),
    ...Object.fromEntries(stageFiles.map((name) => [`stage/${name}`, readFileSync(join(stage, name), 'utf8')])),
  };
  const hash = createHash('sha256').update(JSON.stringify(generated));
  for (const path of readdirSync(template, { recursive: true, withFileTypes: true })) {
    if (!path.isFile()) continue;
    const file = join(path.parentPath, path.name);
    hash.update(file).update(readFileSync(file));
  }
  const folder = join(cache, 'flakes', hash.digest('hex').slice(0, 16));
  if (existsSync(folder)) return folder;
  const fresh = `${folder}.${process.pid}`;
  mkdirSync(dirname(folder), { recursive: true });
  cpSync(template, fresh, { recursive: true });
  mkdirSync(join(fresh, 'stage'));
  for (const [name, text] of Object.entries(generated)) writeIfChanged(join(fresh, name), text);
  try {
    renameSync(fresh, folder);
  } catch (cause) {
    rmSync(fresh, { recursive: true, force: true });
    if (!existsSync(folder)) throw new Error(`write flake ${folder}`, { cause });
  }
  return folder;
}
