// Boot stages without an agent as a fleet: fetch-first in network namespaces, the real door and tracker, every link shaped. They hand each other the first
// part of the image, and an agent goes on with what they have got.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import { type Child, run, start } from '../lab/child.ts';
import { needNetns, needPrograms, skipUnless } from '../lab/need.ts';
import { lan, makeNetwork, runId } from '../lab/net.ts';

const skip = skipUnless(needNetns, needPrograms(['busybox', 'tc', 'cpio']));
const script = join(import.meta.dirname, '../../installer-nix/stage/fetch-first');
const role = join(import.meta.dirname, '../bench/fleet-role.ts');
const MiB = 1 << 20;
const machines = 5;
const megabits = 100;

async function said(t: TestContext, argv: readonly string[], pattern: RegExp): Promise<{ child: Child; line: string }> {
  const line = Promise.withResolvers<string>();
  const last: string[] = [];
  const child = start(argv, {
    deadlineMs: 200_000,
    stdin: 'pipe',
    onLine(text) {
      last.push(text);
      if (pattern.test(text)) line.resolve(text);
    },
  });
  t.after(() => child.stop(1000));
  child.exited.then(() => line.reject(new Error(last.slice(-5).join('\n'))), line.reject);
  return { child, line: await line.promise };
}

test('five boot stages cost the door little more than one; one that comes later costs it nothing; an agent goes on', {
  skip,
  timeout: 240_000,
}, async (t) => {
  const folder = join(tmpdir(), runId());
  mkdirSync(join(folder, 'tree/bin'), { recursive: true });
  const net = await makeNetwork();
  const servers: number[] = [];
  t.after(async () => {
    for (const pid of servers) if (existsSync(`/proc/${pid}`)) process.kill(pid);
    await net.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const agent = randomBytes(12 * MiB);
  writeFileSync(join(folder, 'tree/bin/nixie-agent'), agent);
  await run(['sh', '-c', 'cd "$0/tree" && find . | cpio -o -H newc --quiet > ../archive', folder]);
  const first = gzipSync(readFileSync(join(folder, 'archive')), { level: 1 });
  const rest = randomBytes(4 * MiB);
  writeFileSync(join(folder, 'image'), Buffer.concat([rest, first]));
  const sum = createHash('sha256').update(first).digest('hex');

  const names: string[] = [];
  for (let i = 0; i <= machines; i++) names.push(await net.addServer(`m${i}`, `${lan.prefix}.${11 + i}`));
  const shape = ['root', 'tbf', 'rate', `${megabits}mbit`, 'burst', '256kb', 'limit', '1mb'];
  for (const [namespace, port] of [[net.srv, 'v-srv'], ...names.map((name, i) => [name, `v-m${i}`])] as const) {
    await run(net.inside(namespace!, ['tc', 'qdisc', 'add', 'dev', 'eth0', ...shape]));
    await run(net.inside(net.lan, ['tc', 'qdisc', 'add', 'dev', port!, ...shape]));
  }
  const door = await said(
    t,
    net.inside(net.srv, [process.execPath, role, 'door', folder, lan.nixie]),
    /^ready [0-9a-f]{64}$/,
  );
  const manifest = door.line.split(' ')[1]!;
  const words = `nixie.controller=${lan.nixie}:7481 nixie.image=${manifest} nixie.first=${sum},${rest.length},${first.length}`;
  writeFileSync(join(folder, 'cmdline'), `${words}\n`);
  const sent = async (): Promise<number> =>
    Number((await run(net.inside(net.srv, ['cat', '/sys/class/net/eth0/statistics/tx_bytes']))).stdout);

  const boot = async (machine: number): Promise<void> => {
    const [work, root] = [join(folder, `work${machine}`), join(folder, `root${machine}`)];
    const argv = ['busybox', 'sh', script, work, root, join(folder, 'cmdline'), '60'];
    const { code, stderr } = await run(net.inside(names[machine]!, argv), { accept: true, deadlineMs: 120_000 });
    assert.equal(code, 0, stderr);
    assert.ok(readFileSync(join(root, 'bin/nixie-agent')).equals(agent));
    servers.push(Number(readFileSync(join(work, 'server'), 'utf8')));
  };

  const before = await sent();
  const began = performance.now();
  await Promise.all(Array.from({ length: machines }, (_, i) => boot(i)));
  const seconds = (performance.now() - began) / 1000;
  const bytes = (await sent()) - before;
  const copies = bytes / first.length;
  const unicast = (machines * first.length * 8) / (megabits * 1e6);
  t.diagnostic(
    `${machines} boot stages, ${(first.length / 1e6).toFixed(1)} MB, ${megabits} Mbit/s: ${seconds.toFixed(1)} s (by unicast at least ${unicast.toFixed(1)} s), the door sent ${copies.toFixed(2)} copies`,
  );
  assert.ok(copies <= 2, `the door sent ${copies} copies`);

  // They serve on, until their agent does.
  const late = await sent();
  await boot(machines);
  const lateCopies = ((await sent()) - late) / first.length;
  assert.ok(lateCopies <= 0.2, `one that came later took ${lateCopies} copies from the door`);

  // The agent of the last one: what the boot stage got is there, and only the rest is fetched.
  const work = join(folder, `work${machines}`);
  process.kill(servers.pop()!);
  const { line } = await said(
    t,
    net.inside(names[machines]!, [
      ...[process.execPath, join(import.meta.dirname, '../../agent/src/main.ts'), '--cmdline', join(folder, 'cmdline')],
      ...['--fetch', join(folder, 'got'), '--chunks', join(work, 'served/c'), '--serve'],
    ]),
    /image of \d+ MB is whole/,
  );
  assert.match(line, /: 0 MB from other machines, 4 MB from the controller/);
  assert.ok(readFileSync(join(folder, 'got')).equals(readFileSync(join(folder, 'image'))));
});
