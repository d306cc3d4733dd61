// What the agent costs: its size, its memory with every collector run, and the time until it is registered, the last two beside an executable
// made in the same way that does nothing.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { buildAgent } from '../../agent/build.mjs';
import { server } from '../../agent/src/inventory/fixtures/server.ts';
import { layTree } from '../../agent/src/inventory/lay-tree.ts';
import type { Mac } from '../../controller/src/machine/mac.ts';
import { makeTls } from '../../controller/src/store/tls.ts';
import { buildEmpty } from '../bench/start-machine.ts';
import { type Door, openDoor } from '../lab/agent/door.ts';
import { type AgentProcess, startAgent } from '../lab/agent/process.ts';
import { needPrograms, skipUnless } from '../lab/need.ts';
import { until } from '../lab/patience.ts';

const mostBytes = 115e6;
const mostPackedBytes = 30e6;
/**
 * The goal is 1.5, and `npm run bench -- start` measures it in a machine; see docs/agent-start.md for what it is. So is it here, with both files in
 * memory as an installer has them: on a disk the page cache chooses how much of a file counts.
 */
const mostMemory = 2;
/**
 * The goal is 2 in a machine; here, with 26 disks in a tree of files, 6.2 to 8.2 were measured. This finds a wait that nobody
 * needed, also where tests that run beside this one multiply both.
 */
const mostTime = 12;
const rounds = 5;
const mac = 'd0:94:66:00:00:00' as Mac;

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;

/** Bytes after `xz -6`, which takes a minute, and many beside other programs: kept beside the executable until that is another. */
function packedBytes(path: string, sha256: string): number {
  const kept = join(dirname(path), 'nixie-agent.packed');
  const [of, bytes] = existsSync(kept) ? readFileSync(kept, 'utf8').split(' ') : [];
  if (of === sha256) return Number(bytes);
  const { status, stdout } = spawnSync('sh', ['-c', 'xz -6 -T0 -c "$0" | wc -c', path], {
    encoding: 'utf8',
    timeout: 1_500_000,
  });
  assert.equal(status, 0);
  writeFileSync(kept, `${sha256} ${stdout.trim()}`);
  return Number(stdout);
}

test('the executable has at most 115 MB, and at most 30 MB with xz', {
  skip: skipUnless(needPrograms(['xz', 'sh', 'wc'])),
  timeout: 1_800_000,
}, async (t) => {
  const { path, bytes, sha256 } = await buildAgent();
  assert.ok(bytes <= mostBytes, `${bytes} bytes`);
  const packed = packedBytes(path, sha256);
  t.diagnostic(`${(bytes / 1e6).toFixed(1)} MB, with xz ${(packed / 1e6).toFixed(1)} MB`);
  // Less than this is no Node any more: then something else was measured.
  assert.ok(packed > 10e6 && packed <= mostPackedBytes, `${packed} bytes`);
});

/** An agent on a recorded server with 26 disks; its boot is another each time. */
function begin(t: TestContext, door: Door, path: string, fingerprint: string): { agent: AgentProcess; began: number } {
  const { root, remove } = layTree({
    ...server,
    'proc/cmdline': `nixie.controller=127.0.0.1:${door.server.port} nixie.fingerprint=${fingerprint} nixie.token=${door.tokens.issue(mac, 'machine1', Date.now())} nixie.mac=${mac}`,
    'proc/sys/kernel/random/boot_id': crypto.randomUUID(),
    'proc/uptime': '1.00 1.00\n',
    'etc/ssh/ssh_host_ed25519_key.pub':
      'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKuPQ0oVJ1Q1t2xMPn0b4b9q0yS8y3C4H2Jq0e2S4m1R root@installer\n',
  });
  const began = performance.now();
  const agent = startAgent(['--root', root], path);
  t.after(async () => {
    await agent.stop();
    remove();
  });
  return { agent, began };
}

/** A folder that is gone after the test, of a file system in memory where there is one that programs may be run from. */
function inMemory(t: TestContext): string {
  for (const parent of ['/dev/shm', tmpdir()]) {
    try {
      const folder = mkdtempSync(join(parent, 'nixie-figures-'));
      t.after(() => rmSync(folder, { recursive: true, force: true }));
      const program = join(folder, 'try');
      writeFileSync(program, '#!/bin/sh\n', { mode: 0o755 });
      execFileSync(program, { timeout: 60_000 });
      return folder;
    } catch {
      // not there, full, or mounted noexec
    }
  }
  throw new Error('no folder to run a program from');
}

test('memory with every collector run, and time until registered, beside an executable that does nothing', {
  timeout: 600_000,
}, async (t) => {
  const built = (await buildAgent()).path;
  const folder = inMemory(t);
  const [path, nothing] = [join(folder, 'agent'), join(folder, 'empty')];
  copyFileSync(built, path);
  copyFileSync(await buildEmpty(built), nothing);
  const tls = await makeTls();

  const idle = startAgent(['stay'], nothing);
  t.after(() => idle.stop());
  const [starts, registrations, memory]: [number[], number[], number[]] = [[], [], []];
  for (let round = 0; round < rounds; round += 1) {
    const began = performance.now();
    execFileSync(nothing, [], { timeout: 60_000 });
    starts.push(performance.now() - began);

    const door = await openDoor(tls);
    t.after(() => door.server.close());
    const { agent, began: agentBegan } = begin(t, door, path, tls.fingerprint);
    let registered = 0;
    await until('registration', () => {
      if (door.registered.length > 0) registered ||= performance.now();
      return registered > 0;
    });
    registrations.push(registered - agentBegan);
    await until('the full inventory', () => door.hardware.length > 1, agent.stderr);
    const inventory = door.hardware[0]!.content;
    assert.ok(inventory?.$case === 'inventory' && inventory.value.disks.length === 26);
    // What the burst took is given back after it.
    await until('memory to be given back', () => agent.residentBytes() <= mostMemory * idle.residentBytes());
    memory.push(agent.residentBytes());
    await agent.stop();
  }
  const [time, base] = [median(registrations), median(starts)];
  const [resident, baseResident] = [median(memory), idle.residentBytes()];
  t.diagnostic(
    `registered after ${time.toFixed(0)} ms, an empty executable is over after ${base.toFixed(0)} ms: ${(time / base).toFixed(2)}; ${(resident / 2 ** 20).toFixed(0)} MiB resident, it has ${(baseResident / 2 ** 20).toFixed(0)} MiB: ${(resident / baseResident).toFixed(2)}`,
  );
  assert.ok(resident <= mostMemory * baseResident, `${resident} of ${baseResident} bytes`);
  assert.ok(time <= mostTime * base, `${time} of ${base} ms`);
});
