// `npm run nix:hashes`: lets nix download what each package is made of, and writes the hashes that it names into installer-nix/hashes.nix.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Names in hashes.nix, and the packages whose `pnpmDeps` they are of. */
export const downloads: Readonly<Record<string, string>> = { controller: 'nixie', agent: 'nixie-agent' };

/** The hash that nix says it got in place of the one that stood there; undefined when that isn't what failed. */
export function gotHash(stderr: string): string | undefined {
  return /hash mismatch in fixed-output derivation[\s\S]*?got:\s+(sha256-[A-Za-z0-9+/]{43}=)/.exec(stderr)?.[1];
}

/** @throws Error when the file has no such name */
export function withHash(file: string, name: string, hash: string): string {
  const line = new RegExp(`^(  ${name} = )(?:lib\\.fakeHash|"sha256-[A-Za-z0-9+/]{43}=");$`, 'm');
  if (!line.test(file)) throw new Error(`hashes.nix has no line for ${name}`);
  return file.replace(line, `$1"${hash}";`);
}

function fill(root: string): void {
  const path = join(root, 'installer-nix/hashes.nix');
  for (const [name, of] of Object.entries(downloads)) {
    const argv = [
      '--extra-experimental-features',
      'nix-command flakes',
      'build',
      '--no-link',
      `${root}#${of}.pnpmDeps`,
    ];
    const ran = spawnSync('nix', argv, { encoding: 'utf8', stdio: ['ignore', 'inherit', 'pipe'], timeout: 3_600_000 });
    if (ran.status === 0) {
      console.log(`${name}: right as it is`);
      continue;
    }
    const hash = gotHash(ran.stderr ?? '');
    if (hash === undefined)
      throw new Error(
        `build ${of}.pnpmDeps: ${ran.error?.message ?? ran.stderr.trim().split('\n').slice(-5).join('\n')}`,
      );
    writeFileSync(path, withHash(readFileSync(path, 'utf8'), name, hash));
    console.log(`${name}: ${hash}`);
  }
}

if (import.meta.main) fill(join(import.meta.dirname, '../..'));
