// Whose rights the children of a run get: those of the user that called sudo, where they reach all that is needed to the end. Decided once, before
// anything is started, and said when it isn't what the operator would expect: a machine must not be left half installed by a closed folder.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Identity } from './child/identity.ts';
import type { RunConfig } from './config/run-config.ts';
import { giveFolder, makeRunFolder, type RunFolder } from './install/folders.ts';
import { writeShim } from './install/shim.ts';
import { parseFlakeRef } from './nix/flake-ref.ts';
import type { Need } from './nix/reach.ts';
import { findRights, folderProbe, type Rights } from './nix/runner.ts';
import { type Programs, which } from './programs.ts';

export interface RightsWorld {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

type Flakes = Pick<RunConfig, 'flake' | 'installers' | 'stateDir'>;

/** For nix alone: nothing is installed. */
export function flakeRights(config: Flakes, world: RightsWorld, more?: (as: Identity) => Promise<readonly Need[]>) {
  const { env, cwd } = world;
  const refs = [config.flake, ...Object.values(config.installers)].map((ref) => parseFlakeRef(ref, cwd, folderProbe));
  return findRights({
    env,
    folders: [...new Set(refs.flatMap((ref) => ref.folder ?? []))],
    homeDir: join(config.stateDir, 'home'),
    setpriv: which('setpriv', env.PATH ?? ''),
    ...(more === undefined ? {} : { more }),
  });
}

/**
 * For a whole run. A folder such as each phase gets is made, given away and tried.
 * @param runFolder the state folder's part for such folders
 */
export async function runRights(
  config: Flakes & Pick<RunConfig, 'sshKey' | 'allHosts'>,
  world: RightsWorld & { readonly programs: Programs; readonly runFolder: string; readonly node: string },
): Promise<Rights> {
  const { programs } = world;
  let folder: RunFolder | undefined;
  try {
    return await flakeRights(config, world, async (as) => {
      folder = await makeRunFolder(world.runFolder);
      const shim = await writeShim({ folder: folder.shim, realSsh: programs.ssh, hostKeys: ['ssh-ed25519 AAAA'] });
      const key = join(folder.keys, 'key');
      await writeFile(key, '', { mode: 0o600 });
      await giveFolder(folder, as);
      const sshKey = config.sshKey?.kind === 'private' ? [config.sshKey.path] : [];
      return [
        { kind: 'start', what: programs.nixosAnywhere, word: '--help' },
        { kind: 'start', what: programs.ssh, word: '-V' },
        ...['ssh-copy-id', 'ssh-keygen', 'ssh-keyscan'].map((what) => ({ kind: 'find', what }) as const),
        ...sshKey.map((what) => ({ kind: 'read', what }) as const),
        // Joins ssh with machines behind relays.
        ...(config.allHosts.some(({ relay }) => relay !== undefined)
          ? [{ kind: 'start', what: world.node, word: '--version' } as const]
          : []),
        { kind: 'start', what: shim, word: '-V' },
        { kind: 'read', what: key },
      ];
    });
  } finally {
    await folder?.remove();
  }
}
