/** Debian's files for the lab: which ones (apt knows), and a cache folder that holds them. Nothing is installed. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../child.ts';
import { writeIfChanged } from './files.ts';
import { alone, kernelMeta, type Layer, layers, leftOut } from './packages.ts';

/** File names inside `folder`, by use. */
export interface DebSet {
  folder: string;
  machine: string[];
  installer: string[];
  kernel: string;
  alone: Record<(typeof alone)[number], string>;
}

/**
 * The .deb files of all layers, downloaded when they are not in `cache` yet. The choice is kept with them: later runs use the
 * same versions and ask apt nothing.
 */
export async function fetchDebs(cache: string): Promise<DebSet> {
  const lists = JSON.stringify([layers, alone, kernelMeta, leftOut.map(String)]);
  const folder = join(cache, 'debs');
  const chosen = join(folder, `chosen-${createHash('sha256').update(lists).digest('hex').slice(0, 12)}.json`);
  if (existsSync(chosen)) {
    const set = { ...(JSON.parse(readFileSync(chosen, 'utf8')) as DebSet), folder };
    if (allFiles(set).every((name) => existsSync(join(folder, name)))) return set;
  }
  mkdirSync(folder, { recursive: true });
  const machine = await resolveLayer(folder, 'machine');
  const both = await resolveLayer(folder, 'machine', 'installer');
  const kernel = await newestKernel();
  const installer = both.filter((name) => !machine.includes(name));
  const files = await download(folder, [...new Set([...machine, ...installer, ...alone, kernel])]);
  const fileOf = (name: string): string => {
    const file = files.get(name);
    if (!file) throw new Error(`download ${name}: apt-get left no file`);
    return file;
  };
  const set: DebSet = {
    folder,
    machine: machine.map(fileOf),
    installer: installer.map(fileOf),
    kernel: fileOf(kernel),
    alone: Object.fromEntries(alone.map((name) => [name, fileOf(name)])) as DebSet['alone'],
  };
  writeIfChanged(chosen, JSON.stringify(set, null, 2));
  return set;
}

function allFiles(set: DebSet): string[] {
  return [...set.machine, ...set.installer, set.kernel, ...Object.values(set.alone)];
}

/** What apt would install on an empty system for these layers, less what the lab leaves out. Sorted. */
async function resolveLayer(folder: string, ...names: Layer[]): Promise<string[]> {
  const status = join(folder, 'empty-status');
  writeIfChanged(status, '');
  const wanted = names.flatMap((name) => layers[name]);
  const plan = await apt('choose packages of the lab', [
    ...['apt-get', '-s', '-o', `Dir::State::status=${status}`, '-o', 'APT::Install-Recommends=false'],
    ...['install', ...wanted],
  ]);
  const all = [...plan.matchAll(/^Inst (\S+) /gm)].map((match) => match[1]!);
  return all.filter((name) => !leftOut.some((rule) => rule.test(name))).sort();
}

async function apt(what: string, argv: string[], cwd?: string): Promise<string> {
  try {
    return (await run(argv, { deadlineMs: 600_000, cwd, env: { ...process.env, LC_ALL: 'C' } })).stdout;
  } catch (cause) {
    throw new Error(`${what}: ${(cause as Error).message} (has apt-get update been run?)`, { cause });
  }
}

async function newestKernel(): Promise<string> {
  const text = await apt('choose a kernel', ['apt-cache', 'depends', kernelMeta]);
  const name = /Depends: (linux-image-\S+)/.exec(text)?.[1];
  if (!name) throw new Error(`ask apt for the kernel: ${kernelMeta} depends on no kernel`);
  return name;
}

/** Downloads into a folder of its own, then moves the files under names that a nix store accepts. Package name to file name. */
async function download(folder: string, names: string[]): Promise<Map<string, string>> {
  const fresh = join(folder, `fetch-${process.pid}`);
  mkdirSync(fresh, { recursive: true });
  try {
    // without the sandbox user apt needs no permission on the folders above
    await apt('download', ['apt-get', '-o', 'APT::Sandbox::User=root', 'download', ...names], fresh);
    const files = new Map<string, string>();
    for (const file of readdirSync(fresh)) {
      const name = file.split('_')[0]!;
      // an epoch comes as %3a, a backport with ~: neither may be in a store path
      const safe = file.replace(/%3a|[^A-Za-z0-9+\-._?=]/g, '_');
      renameSync(join(fresh, file), join(folder, safe));
      files.set(name, safe);
    }
    return files;
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}
