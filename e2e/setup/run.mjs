// `npm test`, `npm run unit|demo|…`: brings everything that is needed, then runs it under the repository's Node. Plain JavaScript,
// because it is started by whatever Node the computer has.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bringPackages } from './debian.mjs';
import { testArguments } from './test-arguments.mjs';
import { installWorkspace, ownNode } from './workspace.mjs';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const [target = '', ...rest] = process.argv.slice(2);
const say = (text) => console.error(`nixie setup: ${text}`);
const isRoot = process.getuid?.() === 0;
const benches = ['start', 'http', 'tftp-storm', 'tftp-loss', 'dhcp', 'leases', 'agents', 'copy', 'fleet', 'boot'];

/** Runs under Node 24 to its end; signals are passed on. Resolves with an exit status as a shell gives it. */
function run(args) {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, PATH: `${join(root, 'node_modules/.bin')}:${process.env.PATH}:/usr/sbin:/sbin` };
    const child = spawn(ownNode(root), args, { cwd: root, stdio: 'inherit', env });
    const pass = (signal) => child.kill(signal);
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
    for (const signal of signals) process.on(signal, pass);
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      for (const name of signals) process.off(name, pass);
      resolve(signal === null ? code : 128 + constants.signals[signal]);
    });
  });
}

async function buildAgent() {
  const status = await run(['agent/build.mjs']);
  if (status !== 0) throw new Error(`build of the agent ended with ${status}`);
}

/** Packages: without them `npm test` skips what needs them (or fails, under NIXIE_E2E=require); the demo can't run. */
function bring() {
  const todo = bringPackages(say);
  if (todo !== undefined) say(todo);
  return todo === undefined;
}

const targets = {
  async build() {
    installWorkspace(root, say);
    await buildAgent();
    return 0;
  },
  async unit() {
    installWorkspace(root, say);
    return await run(testArguments(root, 'unit', rest));
  },
  async test() {
    installWorkspace(root, say);
    bring();
    if (!isRoot) say('without root the tests with namespaces and firmware are skipped; for all of them: sudo npm test');
    await buildAgent();
    return await run(testArguments(root, 'all', rest));
  },
  // The same tests of modules and examples, with the real lib: they want a checkout of nixpkgs, and nix's own store.
  async nixpkgs() {
    const { NIXPKGS } = process.env;
    if (NIXPKGS === undefined || !existsSync(join(NIXPKGS, 'lib/default.nix'))) {
      say('usage: NIXPKGS=/path/to/nixpkgs [DISKO=/path/to/disko] npm run test:nixpkgs');
      return 2;
    }
    installWorkspace(root, say);
    return await run(testArguments(root, 'all', [...rest, 'e2e/nix/**/*.test.ts']));
  },
  async pack() {
    installWorkspace(root, say);
    return await run(['e2e/release/pack.ts']);
  },
  async hashes() {
    installWorkspace(root, say);
    return await run(['e2e/nix/hashes.ts']);
  },
  async demo() {
    if (!isRoot) {
      say(
        `the demo makes network namespaces and serves DHCP inside them, which needs root: sudo npm run demo${rest.length > 0 ? ` -- ${rest.join(' ')}` : ''}`,
      );
      return 3;
    }
    installWorkspace(root, say);
    if (!bring()) return 3;
    await buildAgent();
    return await run(['e2e/demo.ts', ...rest]);
  },
  async simulate() {
    installWorkspace(root, say);
    return await run(['e2e/simulate/main.ts', ...rest]);
  },
  async fuzz() {
    installWorkspace(root, say);
    return await run(['e2e/fuzz/fuzz.ts', ...rest]);
  },
  async faults() {
    if (!isRoot) {
      say('the faults strike in network namespaces, which needs root: sudo npm run faults');
      return 3;
    }
    installWorkspace(root, say);
    if (!bring()) return 3;
    await buildAgent();
    return await run(['e2e/faults/faults.ts', ...rest]);
  },
  async bench() {
    if (!isRoot) {
      say(`the benchmarks make network namespaces, which needs root: sudo npm run bench -- ${rest.join(' ')}`);
      return 3;
    }
    installWorkspace(root, say);
    if (!bring()) return 3;
    await buildAgent();
    const named = rest[0] !== undefined && !rest[0].startsWith('-') ? rest[0] : undefined;
    if (named !== undefined && !benches.includes(named)) {
      say(`no benchmark called ${named}; there are ${benches.join(', ')}`);
      return 2;
    }
    const args = named === undefined ? rest : rest.slice(1);
    let status = 0;
    for (const name of named === undefined ? benches : [named]) {
      say(`bench ${name}`);
      status = (await run([`e2e/bench/${name}.ts`, ...args])) || status;
    }
    return status;
  },
};

if (!Object.hasOwn(targets, target)) {
  say(`usage: run.mjs ${Object.keys(targets).join('|')}`);
  process.exit(2);
}
try {
  process.exitCode = await targets[target]();
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 3;
}
