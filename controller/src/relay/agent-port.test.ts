import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import test, { type TestContext } from 'node:test';
import type { FromMachine } from '@nixie/proto/relay';
import { PortTaken } from '../listen/errors.ts';
import type { Mac } from '../machine/mac.ts';
import { type AgentPort, openAgentPort } from './agent-port.ts';

const links = [{ name: 'lan0', address: '127.0.0.1', prefixLength: 8 }];

async function house(t: TestContext, more: { most?: number; mostOfOne?: number; idleMs?: number } = {}) {
  const carried: { socket: Socket; from: FromMachine }[] = [];
  const port: AgentPort = await openAgentPort({
    links,
    port: 0,
    macAt: (address, on) =>
      address === '127.0.0.1' && on !== undefined && 'interface' in on && on.interface === 'lan0'
        ? ('52:54:00:00:00:01' as Mac)
        : undefined,
    carry: (socket, from) => void carried.push({ socket, from }),
    ...more,
  });
  t.after(() => port.close());
  const client = () => {
    const socket = connect({ host: '127.0.0.1', port: port.port, allowHalfOpen: true });
    t.after(() => socket.destroy());
    const ended = new Promise<string>((resolve) => {
      socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
      socket.on('close', () => resolve('closed'));
    });
    return { socket, ended };
  };
  return { port, carried, client };
}

async function until(holds: () => boolean): Promise<void> {
  const end = performance.now() + 60_000;
  while (!holds()) {
    assert.ok(performance.now() < end);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('a connection is handed on paused, half-open, and with what is known of the machine', async (t) => {
  const { carried, client } = await house(t);
  const { socket } = client();
  socket.write('hello');
  await until(() => carried.length === 1);
  const { from, socket: ours } = carried[0]!;
  assert.deepEqual(from, {
    address: '127.0.0.1',
    port: socket.localPort,
    mac: '52:54:00:00:00:01',
    interface: 'lan0',
  });
  assert.ok(ours.isPaused());
  assert.ok(ours.allowHalfOpen);
  const first = await new Promise<Buffer>((resolve) => {
    ours.once('data', resolve);
    ours.resume();
  });
  assert.equal(first.toString(), 'hello');
});

test('too many of one address, and too many in all, are reset; a place that comes free is taken again', async (t) => {
  for (const more of [{ mostOfOne: 2 }, { most: 2 }]) {
    const { port, carried, client } = await house(t, more);
    const first = client();
    client();
    await until(() => carried.length === 2);
    assert.equal(await client().ended, 'ECONNRESET');
    assert.equal(port.refused, 1);
    first.socket.destroy();
    carried[0]!.socket.destroy();
    await until(() => port.connections === 1);
    client();
    await until(() => carried.length === 3);
  }
});

test('a silent machine is given up', async (t) => {
  const { carried, client, port } = await house(t, { idleMs: 50 });
  const { ended } = client();
  await until(() => carried.length === 1);
  assert.equal(await ended, 'ECONNRESET');
  await until(() => port.connections === 0);
});

test('a taken port names its holder', async (t) => {
  const { port } = await house(t);
  const more = { links, port: port.port, macAt: () => undefined, carry: () => {} };
  await assert.rejects(openAgentPort(more), (error) => error instanceof PortTaken && /process \d+/.test(error.message));
});

test('closing ends what is connected', async (t) => {
  const { port, carried, client } = await house(t);
  const { ended, socket } = client();
  socket.on('data', () => {});
  socket.on('end', () => socket.end());
  await until(() => carried.length === 1);
  await port.close();
  assert.match(await ended, /closed|ECONNRESET/);
});
