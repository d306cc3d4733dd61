#!/usr/bin/env node
// Makes agent/dist/nixie-agent, one executable: bundle -> copy of Node -> strip -> blob -> inject -> run once.
// NIXIE_ESBUILD names another esbuild than the workspace's, NIXIE_COMMIT what `--version` is to name; `--bundle FILE` makes the bundle alone.
// Stripping has to come before the injection: afterwards it makes a file that crashes. A second run with the same inputs does nothing.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { trimBlob } from './trim-blob.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const root = dirname(here);

if (Number(process.versions.node.split('.')[0]) < 24) {
  // The blob must be written by the very Node that carries it.
  const arch = process.arch === 'arm64' ? 'arm64' : 'x64';
  const node = join(root, 'node_modules', `node-linux-${arch}`, 'bin', 'node');
  execFileSync(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' });
  process.exit(0);
}

/** @param {string} message */
const say = (message) => console.error(`agent build: ${message}`);

/** Modules of Node that the agent loads when it first uses them. */
const lazy = ['tls', 'http', 'http2', 'child_process', 'vm'];

/** Those modules, and those of Node's inside that come with them into a process that has the others. */
function modulesToCome() {
  const others = [
    'assert',
    'net',
    'crypto',
    'zlib',
    'dns',
    'fs/promises',
    'os',
    'url',
    'util',
    'stream/promises',
    'v8',
  ];
  const program = `for (const name of ${JSON.stringify(others)}) require(name);
    const before = new Set(process.moduleLoadList);
    for (const name of ${JSON.stringify(lazy)}) require(name);
    console.log(JSON.stringify(process.moduleLoadList.filter((each) => !before.has(each))));`;
  const told = execFileSync(process.execPath, ['-e', program], { encoding: 'utf8', timeout: 30_000 });
  return new Set(JSON.parse(told).map((/** @type {string} */ each) => each.replace(/^\w+ /, '')));
}

/**
 * A file for each of them, which stands for it in the bundle. What holds something that V8 can't put into a snapshot has to be among them.
 * @param {string} folder for one file for each
 * @returns {string[]} what esbuild has to be told
 */
function lazyModules(folder) {
  return lazy.flatMap((name) => {
    const real = process.getBuiltinModule(name);
    // Tables of numbers and header names; gRPC's library reads them while it is loaded.
    const constants = name === 'http2' ? `exports.constants = ${JSON.stringify(real.constants)};` : '';
    const names = Object.keys(real).filter((each) => constants === '' || each !== 'constants');
    const file = join(folder, `${name}.cjs`);
    writeFileSync(
      file,
      `${constants}
for (const name of ${JSON.stringify(names)})
  Object.defineProperty(exports, name, { enumerable: true, get: () => process.getBuiltinModule('${name}')[name] });
`,
    );
    return [`--alias:${name}=${file}`, `--alias:node:${name}=${file}`];
  });
}

/**
 * The agent as one JavaScript file (CommonJS).
 * @param {string} [commit] which it names; by default nothing, so that it is the same file in each commit that doesn't change it
 */
export function bundleAgent(commit = process.env.NIXIE_COMMIT || '') {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-agent-'));
  try {
    return bundleWith([
      ...lazyModules(folder),
      ...(commit === '' ? [] : [`--define:NIXIE_COMMIT=${JSON.stringify(commit)}`]),
    ]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @param {readonly string[]} more options of esbuild */
function bundleWith(more) {
  const [program = '', ...first] = process.env.NIXIE_ESBUILD
    ? [process.env.NIXIE_ESBUILD]
    : [process.execPath, join(root, 'node_modules/esbuild/bin/esbuild')];
  const options = [
    join(here, 'src', 'main.ts'),
    '--bundle',
    '--minify',
    '--keep-names',
    '--platform=node',
    '--target=node24',
    '--format=cjs',
    // Only used for loading .proto files at run time, which the agent never does; it would double the bundle.
    `--alias:@grpc/proto-loader=${join(here, 'proto-loader-stub.cjs')}`,
    // What http2 and the reading of arguments load when they are first used, and a snapshot can hold.
    `--banner:js=require('node:assert'); require('node:util').parseArgs;`,
    '--log-level=warning',
    ...more,
  ];
  return execFileSync(program, [...first, ...options], {
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 64 * 1024 * 1024,
    timeout: 120_000,
  });
}

/** Runs it once. @param {string} path */
function checkVersion(path) {
  const version = execFileSync(path, ['--version'], { encoding: 'utf8', timeout: 30_000 }).trim();
  if (!/^nixie-agent \d/.test(version)) throw new Error(`run the new executable: it printed ${version}`);
}

/**
 * Writes `nixie-agent` into a folder.
 * @param {string} work the folder
 * @param {Buffer} script
 * @param {string} carrier the Node that is copied
 * @param {'snapshot' | 'code-cache' | 'source'} form what the program is in it: the first two are made by this platform's compiler, and a snapshot
 *   holds what the program is when it has loaded itself
 */
async function assemble(work, script, carrier, form) {
  const node = realpathSync(process.execPath);
  const file = (/** @type {string} */ name) => join(work, name);
  writeFileSync(file('agent.cjs'), script);
  const config = { main: file('agent.cjs'), output: file('agent.blob'), disableExperimentalSEAWarning: true };
  const kind = { useSnapshot: form === 'snapshot', useCodeCache: form === 'code-cache' };
  writeFileSync(file('sea.json'), JSON.stringify({ ...config, ...kind }));
  execFileSync(node, ['--experimental-sea-config', file('sea.json')], { stdio: 'pipe', timeout: 60_000 });
  copyFileSync(carrier, file('nixie-agent'));
  chmodSync(file('nixie-agent'), 0o755);
  try {
    execFileSync('strip', [file('nixie-agent')], { stdio: 'pipe', timeout: 60_000 });
  } catch (error) {
    // Debian's knows its own platform only.
    if (error.code !== 'ENOENT' && form !== 'source') throw error;
    say('strip is missing or does not know the platform (package binutils): the executable gets 17 MB larger');
  }
  const blob = readFileSync(file('agent.blob'));
  const trimmed = form === 'snapshot' ? trimBlob(blob, modulesToCome()) : blob;
  if (trimmed === undefined) say('the blob has an unknown form, and stays as large as Node made it');
  const postject = createRequire(import.meta.url)('postject');
  // postject prints progress, and a warning for each section that strip emptied; stdout is the caller's.
  const { log, warn, error } = console;
  console.log = console.warn = console.error = () => {};
  try {
    await postject.inject(file('nixie-agent'), 'NODE_SEA_BLOB', trimmed ?? blob, {
      sentinelFuse: 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2',
    });
  } finally {
    Object.assign(console, { log, warn, error });
  }
}

/**
 * Builds the executable unless an up-to-date one is there. `base`: the same version of Node for another platform, which can't be run here.
 * `program`: something else than the agent, to compare it with.
 * @returns {Promise<{path: string, built: boolean, bytes: number, sha256: string}>} sha256 is that of the inputs
 */
export async function buildAgent({
  outDir = join(here, 'dist'),
  force = false,
  base = '',
  program = '',
  commit = undefined,
} = {}) {
  const target = join(outDir, 'nixie-agent');
  const stamp = join(outDir, 'nixie-agent.inputs');
  mkdirSync(outDir, { recursive: true });
  const script = program === '' ? bundleAgent(commit) : Buffer.from(program);
  const node = realpathSync(process.execPath);
  const carrier = base === '' ? node : base;
  const { size, mtimeMs } = statSync(carrier);
  const inputs = createHash('sha256')
    .update(script)
    .update(readFileSync(fileURLToPath(import.meta.url)))
    .update(readFileSync(join(here, 'trim-blob.mjs')))
    .update(`${process.version} ${carrier} ${size} ${mtimeMs}`)
    .digest('hex');
  if (!force && existsSync(target) && existsSync(stamp) && readFileSync(stamp, 'utf8') === inputs) {
    return { path: target, built: false, bytes: statSync(target).size, sha256: inputs };
  }
  const work = mkdtempSync(join(outDir, 'work-'));
  try {
    const file = join(work, 'nixie-agent');
    if (base !== '' || program !== '') await assemble(work, script, carrier, base === '' ? 'code-cache' : 'source');
    else {
      try {
        await assemble(work, script, carrier, 'snapshot');
        checkVersion(file);
      } catch (error) {
        // A Node with other patches may hold what V8 can't put into a snapshot. The same program then starts later.
        say(`without a snapshot, since ${String(error.message).split('\n')[0]}`);
        await assemble(work, script, carrier, 'code-cache');
        checkVersion(file);
      }
    }
    rmSync(stamp, { force: true });
    renameSync(file, target);
    writeFileSync(stamp, inputs);
    return { path: target, built: true, bytes: statSync(target).size, sha256: inputs };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const bundle = process.argv.indexOf('--bundle');
  if (bundle > 0) {
    writeFileSync(process.argv[bundle + 1] ?? '', bundleAgent());
    process.exit(0);
  }
  const started = Date.now();
  const made = await buildAgent({ force: process.argv.includes('--force') });
  say(`${made.built ? 'built' : 'up to date'} ${(made.bytes / 1e6).toFixed(1)} MB in ${Date.now() - started} ms`);
  console.log(made.path);
}
