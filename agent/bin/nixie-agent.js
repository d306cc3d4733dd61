#!/usr/bin/env node
// Runs the checkout's agent. It may itself be started by an older Node, so it hands over to the repository's own.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkedOutCommit } from '../../controller/bin/commit.js';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

function findNode() {
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath;
  const arch = process.arch === 'arm64' ? 'arm64' : 'x64';
  for (const candidate of [
    join(root, 'node_modules', `node-linux-${arch}`, 'bin', 'node'),
    join(root, 'node_modules', '.bin', 'node'),
  ]) {
    if (!existsSync(candidate)) continue;
    const answer = spawnSync(candidate, ['--version'], { encoding: 'utf8', timeout: 10_000 });
    if (answer.status === 0 && Number(answer.stdout.slice(1).split('.')[0]) >= 24) return candidate;
  }
  console.error('nixie-agent: Node 24 is missing; run `npx --yes pnpm@10.34.8 install` in the checkout first');
  process.exit(3);
}

const child = spawn(findNode(), [join(root, 'agent', 'src', 'main.ts'), ...process.argv.slice(2)], {
  stdio: 'inherit',
  env: { NIXIE_COMMIT: checkedOutCommit(root), ...process.env },
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('error', (error) => {
  console.error(`nixie-agent: start node: ${error.message}`);
  process.exit(3);
});
child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
