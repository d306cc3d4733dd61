#!/usr/bin/env node
// Starts `nixie` under a Node that can run it. Plain JavaScript that old Nodes take too, because a machine's own `node` may be one of them:
// then the repository's Node runs the program, with signals and exit status passed through.
import { spawn } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { arch, constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { checkedOutCommit } from './commit.js';

const oldestMajor = 24;
const here = dirname(realpathSync(fileURLToPath(import.meta.url)));
const program = join(here, '../src/bin/nixie.ts');
if (process.env.NIXIE_COMMIT === undefined && /^(?:--version|-V)$/.test(process.argv[2] || ''))
  process.env.NIXIE_COMMIT = checkedOutCommit(join(here, '../..'));

if (Number(process.versions.node.split('.')[0]) >= oldestMajor) {
  await import(pathToFileURL(program).href);
} else {
  const ours = join(here, `../../node_modules/node-linux-${arch()}/bin/node`);
  if (!existsSync(ours)) {
    console.error(
      `nixie: this is Node ${process.versions.node}, and nixie needs Node ${oldestMajor}. The repository's own is not there (${ours}): ` +
        'run `npx --yes pnpm@10.34.8 install --frozen-lockfile` first',
    );
    process.exit(3);
  }
  // First the handlers, then the child: a signal in between would leave it without us. They run no earlier than the event loop does.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT']) process.on(signal, () => child.kill(signal));
  // Same process group, so that the terminal's keys (Ctrl-C, Ctrl-Z) and a changed window size reach the program itself.
  const child = spawn(ours, [program, ...process.argv.slice(2)], { stdio: 'inherit' });
  child.on('error', (error) => {
    console.error(`nixie: start ${ours}: ${error.message}`);
    process.exit(3);
  });
  child.on('exit', (code, signal) => process.exit(signal === null ? (code ?? 1) : 128 + constants.signals[signal]));
}
