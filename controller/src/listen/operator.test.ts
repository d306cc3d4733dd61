import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import * as grpc from '@grpc/grpc-js';
import { Machine, OperatorServiceClient, type WatchResponse } from '@nixie/proto/operator';
import { answers, type OperatorDesk, startOperator } from './operator.ts';

async function withDesk(
  desk: Partial<OperatorDesk>,
  use: (client: OperatorServiceClient, socket: string) => Promise<void>,
) {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-operator-'));
  const socket = join(folder, 'operator.sock');
  const door = await startOperator(socket, {
    machines: () => [Machine.fromPartial({ host: 'm1', stage: 'waking', macs: ['52:54:00:00:00:01'] })],
    inventory: () => undefined,
    retry: () => undefined,
    cancel: () => undefined,
    wake: async () => 6,
    watch: () => () => {},
    logs: { follow: () => () => {}, async *until() {} },
    trail: (host) => ({ host, stages: [], entries: [], around: [] }),
    ...desk,
  });
  const client = new OperatorServiceClient(`unix:${socket}`, grpc.credentials.createInsecure());
  try {
    await use(client, socket);
  } finally {
    client.close();
    await door.close();
    rmSync(folder, { recursive: true });
  }
}

test('lists machines over a socket that only its owner may open', () =>
  withDesk({}, async (client, socket) => {
    assert.equal(statSync(socket).mode & 0o777, 0o600);
    const answer = await new Promise<{ machines: Machine[] }>((resolve, reject) =>
      client.list({}, (error, response) => (error ? reject(error) : resolve(response))),
    );
    assert.deepEqual(
      answer.machines.map((machine) => [machine.host, machine.stage]),
      [['m1', 'waking']],
    );
  }));

test('an unknown host, a missing inventory and a refusal have codes and sentences', () =>
  withDesk({ retry: () => ({ refused: 'm1 is waking' }) }, async (client) => {
    const code = (call: (done: (error: grpc.ServiceError | null) => void) => unknown) =>
      new Promise<[number, string]>((resolve) => call((error) => resolve([error?.code ?? 0, error?.details ?? ''])));
    assert.deepEqual(await code((done) => client.retry({ host: 'm9' }, done)), [
      5,
      'there is no host "m9" in this run',
    ]);
    assert.deepEqual(await code((done) => client.retry({ host: 'm1' }, done)), [9, 'm1 is waking']);
    assert.equal((await code((done) => client.inventory({ host: 'm1' }, done)))[0], 9);
    assert.deepEqual(await code((done) => client.cancel({ host: 'm1' }, done)), [0, '']);
  }));

test('a watcher gets every machine first, then events, and lets go when it leaves', async () => {
  let tell: (message: WatchResponse) => void = () => {};
  let left = false;
  await withDesk(
    {
      watch: (listener) => {
        tell = listener;
        return () => {
          left = true;
        };
      },
    },
    async (client) => {
      const stream = client.watch({});
      const seen: string[] = [];
      await new Promise<void>((resolve) => {
        stream.on('error', () => {});
        stream.on('data', (message: WatchResponse) => {
          seen.push(message.message?.$case === 'machine' ? message.message.value.host : String(message.message?.value));
          if (seen.length === 1) tell({ message: { $case: 'eventJson', value: '{"event":"end"}' } });
          else resolve();
        });
      });
      assert.deepEqual(seen, ['m1', '{"event":"end"}']);
      stream.cancel();
      for (const end = performance.now() + 60_000; !left && performance.now() < end; )
        await new Promise((resolve) => setImmediate(resolve));
      assert.equal(left, true);
    },
  );
});

test('the end of the run is the end of a watch, behind the last event', async () => {
  let tell: (message: WatchResponse) => void = () => {};
  const folder = mkdtempSync(join(tmpdir(), 'nixie-operator-'));
  const socket = join(folder, 'operator.sock');
  const none = () => undefined;
  const watched = Promise.withResolvers<void>();
  const door = await startOperator(socket, {
    machines: () => [],
    inventory: none,
    retry: none,
    cancel: none,
    wake: async () => 0,
    watch(listener) {
      tell = listener;
      watched.resolve();
      return () => {};
    },
    logs: { follow: () => () => {}, async *until() {} },
    trail: (host) => ({ host, stages: [], entries: [], around: [] }),
  });
  assert.equal(await answers(socket), true);
  const client = new OperatorServiceClient(`unix:${socket}`, grpc.credentials.createInsecure());
  const stream = client.watch({});
  const heard: string[] = [];
  const ended = new Promise<string>((resolve) => {
    stream.on('data', (message: WatchResponse) => {
      if (message.message?.$case === 'eventJson') heard.push(message.message.value);
      if (heard.length === 1) {
        tell({ message: { $case: 'eventJson', value: 'last' } });
        void door.close();
      }
    });
    stream.on('end', () => resolve('ended'));
    stream.on('error', (error) => resolve(error.message));
  });
  await watched.promise;
  tell({ message: { $case: 'eventJson', value: 'first' } });
  assert.equal(await ended, 'ended');
  assert.deepEqual(heard, ['first', 'last']);
  client.close();
  assert.equal(await answers(socket), false);
  rmSync(folder, { recursive: true });
});
