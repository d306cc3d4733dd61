// Brings node_modules to what the lockfile says, with the pnpm version that can run under Node 20. The repository's own Node comes with it.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { arch } from 'node:os';
import { join } from 'node:path';

const pnpm = 'pnpm@10.34.8';
const inputs = [
  'pnpm-lock.yaml',
  'pnpm-workspace.yaml',
  'package.json',
  'proto/package.json',
  'controller/package.json',
  'agent/package.json',
  'e2e/package.json',
];

/** @param {string} root */
function wantedStamp(root) {
  const hash = createHash('sha256');
  for (const file of inputs) hash.update(`${file}\0`).update(readFileSync(join(root, file)));
  return hash.digest('hex');
}

/**
 * The repository's Node 24.
 * @param {string} root
 */
export function ownNode(root) {
  return join(root, `node_modules/node-linux-${arch()}/bin/node`);
}

/**
 * @param {string} root
 * @param {(text: string) => void} say
 */
export function installWorkspace(root, say) {
  const stampFile = join(root, 'node_modules/.nixie-stamp');
  const wanted = wantedStamp(root);
  const fresh = existsSync(stampFile) && readFileSync(stampFile, 'utf8') === wanted && existsSync(ownNode(root));
  if (!fresh) {
    say(`installing the workspace with ${pnpm}`);
    // CI: pnpm asks nothing.
    const env = { ...process.env, CI: 'true' };
    const ran = spawnSync('npx', ['--yes', pnpm, 'install', '--frozen-lockfile'], {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      env,
      timeout: 10 * 60_000,
    });
    if (ran.status !== 0) throw new Error(`pnpm install ended with ${ran.status ?? ran.signal ?? ran.error?.message}`);
    writeFileSync(stampFile, wanted);
  }
  const version = spawnSync(ownNode(root), ['--version'], { encoding: 'utf8', timeout: 20_000 });
  if (!/^v(2[4-9]|[3-9]\d)\./.test(version.stdout ?? '')) {
    throw new Error(`${ownNode(root)} does not run here: ${(version.stderr ?? '').trim() || version.error?.message}`);
  }
}
