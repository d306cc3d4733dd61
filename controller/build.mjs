#!/usr/bin/env node
// Makes controller/dist: the program and the thread for DHCP and TFTP as JavaScript files, with what they share and what only some commands need
// in parts beside them. koffi, which has a native part, stays outside. NIXIE_ESBUILD names another esbuild than the
// workspace's.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const esbuild = process.env.NIXIE_ESBUILD
  ? [process.env.NIXIE_ESBUILD]
  : [process.execPath, join(here, '../node_modules/esbuild/bin/esbuild')];

/**
 * @param {string} outDir gets bin/nixie.mjs and bin/boot-worker.mjs
 * @returns {string} the program's file; it wants package.json two folders above and koffi in a node_modules above
 */
export function buildController(outDir = join(here, 'dist')) {
  rmSync(outDir, { recursive: true, force: true });
  const [program = '', ...first] = esbuild;
  const options = [
    join(here, 'src/bin/nixie.ts'),
    join(here, 'src/listen/boot-worker.ts'),
    '--entry-names=[name]',
    // What a command doesn't need is not read for it.
    '--splitting',
    '--chunk-names=[name]-[hash]',
    `--outdir=${join(outDir, 'bin')}`,
    '--out-extension:.js=.mjs',
    '--bundle',
    '--platform=node',
    '--target=node24',
    '--format=esm',
    '--keep-names',
    '--external:koffi',
    // Only used for loading .proto files at run time.
    `--alias:@grpc/proto-loader=${join(here, '../agent/proto-loader-stub.cjs')}`,
    // grpc-js is CommonJS and asks for Node's own modules by require.
    "--banner:js=import { createRequire as nodeRequire } from 'node:module'; const require = nodeRequire(import.meta.url);",
    '--log-level=warning',
  ];
  execFileSync(program, [...first, ...options], { stdio: ['ignore', 'inherit', 'inherit'], timeout: 120_000 });
  const made = join(outDir, 'bin/nixie.mjs');
  // The thread's file lies beside the others now.
  let named = 0;
  for (const name of readdirSync(join(outDir, 'bin'))) {
    const file = join(outDir, 'bin', name);
    const text = readFileSync(file, 'utf8');
    const told = text.replace(
      'new URL("./boot-worker.ts", import.meta.url)',
      'new URL("./boot-worker.mjs", import.meta.url)',
    );
    if (told === text) continue;
    writeFileSync(file, told);
    named++;
  }
  if (named !== 1) throw new Error('bundle of the controller: the file of the boot thread is not named as it was');
  return made;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(buildController());
