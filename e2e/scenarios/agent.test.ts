// The real agent against the real front door, over TLS on loopback.
import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test, { after, type TestContext } from 'node:test';
import { createServer } from 'node:tls';
import { buildAgent } from '../../agent/build.mjs';
import type { Mac } from '../../controller/src/machine/mac.ts';
import { makeTls } from '../../controller/src/store/tls.ts';
import { authorizedKey, type Door, openDoor } from '../lab/agent/door.ts';
import { type AgentProcess, makeTree, startAgent, type Tree } from '../lab/agent/process.ts';
import { freePort } from '../lab/free-port.ts';
import { patienceMs, until } from '../lab/patience.ts';

const mac = '52:54:00:12:34:56' as Mac;
const tls = await makeTls();
const measured: string[] = [];
after(() => console.log(`agent: ${measured.join(', ')}`));

interface Bench {
  door: Door;
  tree: Tree;
  run(more?: readonly string[], program?: string): AgentProcess;
}

async function bench(t: TestContext): Promise<Bench> {
  // Some tests close it and open it again at the same port.
  const door = await openDoor(tls, { port: await freePort() });
  const tree = makeTree();
  const agents: AgentProcess[] = [];
  t.after(async () => {
    for (const agent of agents) await agent.stop();
    await door.server.close();
    tree.remove();
  });
  const token = door.tokens.issue(mac, 'machine1', Date.now());
  return {
    door,
    tree,
    run(more = [], program) {
      tree.put(
        'proc/cmdline',
        `console=ttyS0 BOOTIF=01-52-54-00-12-34-56 nixie.controller=127.0.0.1:${door.server.port} nixie.fingerprint=${tls.fingerprint} nixie.token=${token} nixie.mac=${mac} initrd=initrd.img\n`,
      );
      const agent = startAgent(['--root', tree.root, ...more], program);
      agents.push(agent);
      return agent;
    },
  };
}

test('registers with everything the boot script gave it, beats, sends its log and answers instructions once', async (t) => {
  const { door, tree, run } = await bench(t);
  const began = performance.now();
  const agent = run();
  await until('registration', () => door.registered.length > 0, agent.stderr);
  measured.push(`from sources: registered after ${Math.round(performance.now() - began)} ms`);
  const request = door.registered[0]!;
  assert.equal(request.mac, mac);
  assert.equal(request.address, '127.0.0.1');
  assert.match(request.sshHostKey, /^ssh-ed25519 [A-Za-z0-9+/]+$/);
  assert.equal(request.bootId, readFileSync(join(tree.root, 'proc/sys/kernel/random/boot_id'), 'utf8').trim());
  assert.equal(request.inventory?.schemaVersion, 1);

  await until('three heartbeats', () => door.beats.length >= 3);
  assert.deepEqual(
    door.beats.slice(0, 3).map(({ sequence }) => sequence),
    [1n, 2n, 3n],
  );
  assert.equal(door.beats[0]!.uptimeMs, 12_340n);
  assert.equal(door.beats[0]!.memoryAvailableBytes, 1_048_576n);
  await until('log lines', () => door.logs.some(({ text }) => text.startsWith('registered as machine1')));
  assert.ok(
    door.logs.every(({ text }) => !text.includes(request.token)),
    'the token is in no log line',
  );

  const keys = join(tree.root, 'root/.ssh/authorized_keys');
  assert.ok(readFileSync(keys, 'utf8').includes(authorizedKey));
  assert.equal(statSync(keys).mode & 0o777, 0o600);
  assert.equal(statSync(join(tree.root, 'root/.ssh')).mode & 0o777, 0o700);

  const looked = await door.server.instruct('machine1', { $case: 'inspect', value: {} }, patienceMs);
  assert.equal(looked.ok, true);
  assert.equal(looked.inventory?.schemaVersion, 1);
  assert.equal(looked.inventory.depth, 'quick');
  await until('the full inventory', () => door.hardware.length > 0, agent.stderr);
  const [report] = door.hardware;
  assert.ok(report?.content?.$case === 'inventory');
  assert.equal(report.content.value.depth, 'full');
  // The tree is not this machine: whatever would touch processes, disks or power must fail loudly.
  const reset = await door.server.instruct('machine1', { $case: 'resetDisks', value: {} }, patienceMs);
  assert.equal(reset.ok, false);
  assert.match(reset.error, /tree of its own/);
  const reboot = await door.server.instruct('machine1', { $case: 'reboot', value: { delayMs: 0 } }, patienceMs);
  assert.equal(reboot.ok, true);
  await until('reboot is logged', () => agent.stderr().includes('reboot: not done'));
  assert.deepEqual(door.odd, []);
});

test('goes on with the same credential when the controller comes back with the same state', async (t) => {
  const { door, run } = await bench(t);
  const agent = run();
  await until('first session', () => door.beats.length > 0, agent.stderr);
  const { port } = door.server;
  await door.server.close();
  assert.deepEqual(door.downs, ['the controller is closing']);
  const again = await openDoor(tls, { port });
  t.after(() => again.server.close());
  await until('second session', () => again.beats.length > 0, agent.stderr);
  assert.equal(again.registered.length, 0, 'no second registration: its token is unknown here');
  assert.deepEqual(again.refusals, []);
  assert.equal(again.ups[0]!.host, 'machine1');
  assert.equal(again.ups[0]!.session.bootId, door.ups[0]!.session.bootId);
});

test('a restarted agent is the same one to the controller', async (t) => {
  const { door, run } = await bench(t);
  const first = run();
  await until('first session', () => door.beats.length > 0, first.stderr);
  first.child.kill('SIGKILL');
  await first.ended;
  const second = run();
  await until('second session', () => door.ups.length === 2, second.stderr);
  assert.equal(door.registered.length, 1);
});

test('another certificate with the same name gets no byte of the token, and after its patience the agent wants a new script', async (t) => {
  const { tree, run, door } = await bench(t);
  const other = await makeTls();
  assert.notEqual(other.fingerprint, tls.fingerprint);
  let bytes = 0;
  let connections = 0;
  const impostor = createServer({ key: other.keyPem, cert: other.certPem, ALPNProtocols: ['h2'] }, (socket) => {
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    socket.on('error', () => {});
  });
  impostor.on('connection', () => {
    connections += 1;
  });
  impostor.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => impostor.listen(0, '127.0.0.1', resolve));
  t.after(() => impostor.close());
  const { port } = impostor.address() as { port: number };
  const agent = run(['--controller', `127.0.0.1:${port}`, '--patience', '1']);
  await until('reboot for a new script', () => agent.stderr().includes('reboot: for a new boot script'), agent.stderr);
  assert.ok(connections > 0);
  assert.equal(bytes, 0, 'application bytes sent to the impostor');
  assert.match(agent.stderr(), /check certificate of .*: fingerprint is/);
  assert.equal(door.registered.length, 0);

  // While an install runs it waits instead.
  await agent.stop();
  tree.put('proc/mounts', '/dev/vda2 /mnt ext4 rw 0 0\n');
  const busy = run(['--controller', `127.0.0.1:${port}`, '--patience', '0']);
  const before = connections;
  await until('more attempts', () => connections >= before + 2, busy.stderr);
  assert.doesNotMatch(busy.stderr(), /reboot:/);
});

test('a token of another machine is refused for good, and the agent waits for a person', async (t) => {
  const { door, run } = await bench(t);
  const agent = run(['--mac', '52:54:00:aa:aa:aa', '--patience', '0']);
  await until('refusal', () => door.refusals.length >= 2, agent.stderr);
  assert.deepEqual([...new Set(door.refusals)], ['other-mac']);
  const said = 'registration was refused: PERMISSION_DENIED: token is other-mac';
  await until('its word', () => agent.stderr().includes(said), agent.stderr);
  assert.doesNotMatch(agent.stderr(), /reboot:/);
});

test('an unknown token leads to a reboot only where that is the policy', async (t) => {
  const { run } = await bench(t);
  const unknown = ['--token', 'f'.repeat(32), '--patience', '0'];
  const waiting = run([...unknown, '--refused', 'wait']);
  const rebooting = run(unknown);
  await until('reboot', () => rebooting.stderr().includes('reboot: for a new boot script'), rebooting.stderr);
  await until('refusal', () => waiting.stderr().includes('UNAUTHENTICATED: token is unknown'), waiting.stderr);
  assert.doesNotMatch(waiting.stderr(), /reboot:/);
});

test('starts before the controller does and registers once it is there', async (t) => {
  const { door, run } = await bench(t);
  const { port } = door.server;
  await door.server.close();
  const agent = run();
  await until('a failed attempt', () => agent.stderr().includes('ECONNREFUSED'), agent.stderr);
  const opened = await openDoor(tls, { port, tokens: door.tokens });
  t.after(() => opened.server.close());
  await until('registration', () => opened.registered.length === 1, agent.stderr);
});

test('the executable says its version, prints an inventory and registers', async (t) => {
  const { path, bytes } = await buildAgent();
  const { door, tree, run } = await bench(t);
  const began = performance.now();
  const agent = run([], path);
  await until('heartbeats', () => door.beats.length >= 5, agent.stderr);
  measured.push(
    `executable: ${(bytes / 1e6).toFixed(1)} MB, registered and beating after ${Math.round(performance.now() - began)} ms, ${(agent.residentBytes() / 2 ** 20).toFixed(0)} MiB resident`,
  );
  assert.equal(door.registered.length, 1);
  const { execFileSync } = process.getBuiltinModule('node:child_process');
  assert.match(
    execFileSync(path, ['--version'], { encoding: 'utf8', timeout: patienceMs }),
    /^nixie-agent 0\.1\.0 \(node v24/,
  );
  const printed = JSON.parse(
    execFileSync(path, ['--inventory', '--root', tree.root], { encoding: 'utf8', timeout: patienceMs }),
  );
  assert.equal(printed.schema_version, 1);
  assert.ok(agent.residentBytes() < 200 * 2 ** 20);
});
