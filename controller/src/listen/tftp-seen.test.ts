import assert from 'node:assert/strict';
import test from 'node:test';
import type { Mac } from '../machine/mac.ts';
import { AddressUsers } from './address-users.ts';
import type { Seen } from './seen.ts';
import { TftpSeen } from './tftp-seen.ts';

const mac = '52:54:00:00:00:01' as Mac;
const started = (address: string, detail: string): Seen => ({
  kind: 'tftp-started',
  interface: 'lan0',
  address,
  detail,
});

function lab() {
  const users = new AddressUsers();
  const told: Seen[] = [];
  const asked: PromiseWithResolvers<void>[] = [];
  const lost: number[] = [];
  const seen = new TftpSeen({
    macOfAddress: (name, address) => users.of(name, address),
    machineOfMac: (one) => (one === mac ? 'm1' : undefined),
    hearDhcp: () => {
      const one = Promise.withResolvers<void>();
      asked.push(one);
      return one.promise;
    },
    onSeen: (one) => told.push(one),
    onDropped: (count) => lost.push(count),
  });
  const words = () => told.map(({ detail, machine }) => `${detail} ${machine ?? 'nobody'}`);
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
  return { users, seen, asked, words, turn, lost };
}

test('who is known is told of at once, with MAC and machine', () => {
  const { users, seen, asked, words } = lab();
  users.saw('lan0', '10.0.0.9', mac);
  seen.tell([started('10.0.0.9', 'a'), { kind: 'tftp-refused', detail: 'b' }]);
  assert.deepEqual(words(), ['a m1', 'b nobody']);
  assert.equal(asked.length, 0);
});

test('who isn’t is asked for first, and what comes meanwhile waits its turn', async () => {
  const { users, seen, asked, words, turn } = lab();
  seen.tell([started('10.0.0.9', 'a')]);
  await turn();
  users.saw('lan0', '10.0.0.9', mac);
  seen.tell([started('10.0.0.9', 'b')]);
  assert.deepEqual([words(), asked.length], [[], 1]);
  asked[0]!.resolve();
  await turn();
  assert.deepEqual(words(), ['a m1']);
  asked[1]!.resolve();
  await seen.told();
  assert.deepEqual(words(), ['a m1', 'b m1']);
  seen.tell([started('10.0.0.9', 'c')]);
  assert.deepEqual([words().at(-1), asked.length], ['c m1', 2]);
});

test('strangers are told of as such, also when DHCP answers no more', async () => {
  const { seen, asked, words, turn } = lab();
  seen.tell([started('10.0.0.7', 'a')]);
  await turn();
  asked[0]!.reject(new Error('gone'));
  await seen.told();
  assert.deepEqual(words(), ['a nobody']);
});

test('what comes while DHCP is silent waits for one question, up to a bound, and the rest is counted', async () => {
  const { seen, asked, words, turn, lost } = lab();
  seen.tell([started('10.0.0.7', 'first')]);
  for (let batch = 0; batch < 50; batch++) seen.tell(Array.from({ length: 100 }, () => started('10.0.0.7', 'more')));
  assert.equal(
    lost.reduce((sum, each) => sum + each, 0),
    1000,
  );
  asked[0]!.resolve();
  await turn();
  assert.deepEqual([words().length, asked.length], [1, 2]);
  asked[1]!.resolve();
  await seen.told();
  assert.deepEqual([words().length, asked.length], [4001, 2]);
});
