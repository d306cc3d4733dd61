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
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

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

/**
 * The agent as one JavaScript file (CommonJS).
 * @param {string} [commit] which it names; by default nothing, so that it is the same file in each commit that doesn't change it
 */
export function bundleAgent(commit = process.env.NIXIE_COMMIT || '') {
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
    ...(commit === '' ? [] : [`--define:NIXIE_COMMIT=${JSON.stringify(commit)}`]),
    '--log-level=warning',
  ];
  return execFileSync(program, [...first, ...options], {
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 64 * 1024 * 1024,
    timeout: 120_000,
  });
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
    .update(`${process.version} ${carrier} ${size} ${mtimeMs}`)
    .digest('hex');
  if (!force && existsSync(target) && existsSync(stamp) && readFileSync(stamp, 'utf8') === inputs) {
    return { path: target, built: false, bytes: statSync(target).size, sha256: inputs };
  }
  const work = mkdtempSync(join(outDir, 'work-'));
  try {
    const file = (/** @type {string} */ name) => join(work, name);
    writeFileSync(file('agent.cjs'), script);
    writeFileSync(
      file('sea.json'),
      JSON.stringify({
        main: file('agent.cjs'),
        output: file('agent.blob'),
        disableExperimentalSEAWarning: true,
        // made by this platform's compiler
        useCodeCache: base === '',
      }),
    );
    execFileSync(node, ['--experimental-sea-config', file('sea.json')], { stdio: 'pipe', timeout: 60_000 });
    copyFileSync(carrier, file('nixie-agent'));
    chmodSync(file('nixie-agent'), 0o755);
    try {
      execFileSync('strip', [file('nixie-agent')], { stdio: 'pipe', timeout: 60_000 });
    } catch (error) {
      // Debian's knows its own platform only.
      if (error.code !== 'ENOENT' && base === '') throw error;
      say('strip is missing or does not know the platform (package binutils): the executable gets 17 MB larger');
    }
    const postject = createRequire(import.meta.url)('postject');
    // postject prints progress, and a warning for each section that strip emptied; stdout is the caller's.
    const { log, warn, error } = console;
    console.log = console.warn = console.error = () => {};
    try {
      await postject.inject(file('nixie-agent'), 'NODE_SEA_BLOB', readFileSync(file('agent.blob')), {
        sentinelFuse: 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2',
      });
    } finally {
      Object.assign(console, { log, warn, error });
    }
    if (base === '' && program === '') {
      const version = execFileSync(file('nixie-agent'), ['--version'], { encoding: 'utf8', timeout: 30_000 }).trim();
      if (!/^nixie-agent \d/.test(version)) throw new Error(`run the new executable: it printed ${version}`);
    }
    rmSync(stamp, { force: true });
    renameSync(file('nixie-agent'), target);
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
