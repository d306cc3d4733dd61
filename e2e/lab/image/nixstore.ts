/**
 * Runs commands with the lab's own nix store. The store lies in a cache folder and is bound over /nix in a mount namespace of the
 * command's own, so the host's /nix stays as it is (at most an empty mount point is made).
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { writeIfChanged } from './files.ts';

/** nix.conf of the lab: no build users, no network, no sandbox (the builders are static and need nothing of the host). */
const nixConf = `experimental-features = nix-command flakes
sandbox = false
build-users-group =
substituters =
flake-registry =
warn-dirty = false
`;

/** What a child needs: the argv to spawn, and variables to put over its environment. */
export interface LabCommand {
  argv: string[];
  env: Record<string, string>;
}

/** The lab's store in `cache` (an absolute path): folders and nix.conf are made when missing. */
export function labStore(cache: string): (argv: readonly string[]) => LabCommand {
  const conf = join(cache, 'nixconf');
  const home = join(cache, 'home');
  for (const folder of [conf, home, join(cache, 'nix', 'store'), join(cache, 'nix', 'var', 'nix')]) {
    mkdirSync(folder, { recursive: true });
  }
  writeIfChanged(join(conf, 'nix.conf'), nixConf);
  const env = { NIX_CONF_DIR: conf, HOME: home, XDG_CACHE_HOME: join(home, '.cache'), NIX_REMOTE: '', NIX_PATH: '' };
  return (argv) => ({ argv: inNamespace(cache, argv), env });
}

/** Wraps an argv so that it sees `CACHE/nix` as /nix. Composes with `ip netns exec`, inside or outside. */
export function inNamespace(cache: string, argv: readonly string[]): string[] {
  const script = 'mkdir -p /nix && mount --bind "$0/nix" /nix && exec "$@"';
  return ['unshare', '--mount', '--propagation', 'private', '--', 'sh', '-c', script, cache, ...argv];
}

/** Where a store path of the lab lies on the host, outside the namespace: `/nix/store/x` is `CACHE/nix/store/x`. */
export function onHost(cache: string, storePath: string): string {
  if (!storePath.startsWith('/nix/store/')) throw new Error(`not a store path: ${storePath}`);
  return join(cache, storePath);
}
