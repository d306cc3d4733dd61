// Evaluation and build of a run, with the rights and the environment that nix has on this machine. Also all that a dry run does.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after } from './clock.ts';
import type { RunConfig } from './config/run-config.ts';
import { noStateDir } from './config/state-dir.ts';
import { iso } from './core/core.ts';
import { type Prepared, prepare, type Told } from './core/prepare.ts';
import type { RunEvent } from './machine/event.ts';
import { folderProbe, makeRunner, type Rights } from './nix/runner.ts';
import { storeReader } from './nix/store-reader.ts';

export interface PreparationWorld {
  /** Folder below `gcroots` for what is built beside an earlier preparation of this run; absent: `gcroots` itself. */
  readonly part?: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whose, from rights.ts. */
  readonly rights: Rights;
  readonly cwd: string;
  readonly signal: AbortSignal;
}

/** A dry run takes no lock, so it leaves alone what a run or service in the same state folder keeps meanwhile. */
export const dryRunPart = 'dry-run';

/** @throws NixError when the flake as a whole can't be read */
export async function prepareRun(
  config: Pick<RunConfig, 'flake' | 'installers' | 'hosts' | 'stateDir' | 'buildTimeoutSeconds'>,
  world: PreparationWorld,
  emit: (event: RunEvent) => void,
  told?: Told,
): Promise<Prepared> {
  const { env, cwd, signal, rights } = world;
  const run = makeRunner(env, rights);
  const gcRootsDir = join(config.stateDir, 'gcroots', world.part ?? '');
  await mkdir(gcRootsDir, { recursive: true, mode: 0o700 }).catch((error) => {
    throw noStateDir(config.stateDir, error);
  });
  const prepared = await prepare({
    flake: config.flake,
    installers: config.installers,
    hosts: config.hosts,
    run,
    cwd,
    probe: folderProbe,
    store: storeReader(),
    gcRootsDir,
    nowMs: () => performance.now(),
    after,
    signal,
    deadlineMs: config.buildTimeoutSeconds * 1000,
    onProgress: ({ text, done, total }) =>
      emit({
        event: 'prepare',
        at: iso(Date.now()),
        text,
        ...(done === undefined ? {} : { done }),
        ...(total === undefined ? {} : { total }),
      }),
    ...(told === undefined ? {} : { told }),
  });
  emit({ event: 'prepare', at: iso(Date.now()), text: 'the build is over', over: true });
  return prepared;
}
