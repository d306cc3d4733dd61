import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import type { Mac } from '../machine/mac.ts';
import { makeFinder, makeLookup, NotLooked, neighbourAt } from './place.ts';

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
/** A clock that the test moves. */
function clock() {
  const alarms: (() => void)[] = [];
  return {
    after: (_milliseconds: number, call: () => void) => {
      alarms.push(call);
      return () => void alarms.splice(alarms.indexOf(call), 1);
    },
    ring: () => alarms.splice(0).forEach((call) => void call()),
    alarms,
  };
}

test('names give addresses: not ours, not this machine itself, none that are no IPv4', async () => {
  const { after, alarms } = clock();
  const asked: string[] = [];
  const lookup = makeLookup({
    own: ['10.0.0.1'],
    after,
    ask: async (name) => {
      asked.push(name);
      if (name === 'unknown') throw new Error('ENOTFOUND');
      return ['10.0.0.7', '127.0.1.1', '10.0.0.1', 'fe80::1', '0.0.0.0'];
    },
  });
  assert.deepEqual(await lookup(['unknown', 'm1', 'm1.lan']), ['10.0.0.7']);
  assert.deepEqual(asked, ['unknown', 'm1', 'm1.lan']);
  assert.equal(alarms.length, 0);
});

test('a silent name server costs two seconds and one thread, however many ask', async () => {
  const { after, ring } = clock();
  let under = 0;
  let most = 0;
  const answers: (() => void)[] = [];
  const lookup = makeLookup({
    own: [],
    after,
    ask: (name) =>
      new Promise((resolve) => {
        most = Math.max(most, ++under);
        answers.push(() => {
          under--;
          resolve([name === 'm1' ? '10.0.0.1' : '10.0.0.2']);
        });
      }),
  });
  const all = Promise.all(Array.from({ length: 200 }, (_, i) => lookup([`m${i + 1}`])));
  await turn();
  ring();
  assert.deepEqual((await all).flat(), []);
  assert.equal(most, 1);
  answers.shift()!();
  await turn();
  // Those who gave up are not asked for any more.
  assert.equal(under, 0);
  const next = lookup(['m2']);
  await turn();
  answers.shift()!();
  assert.deepEqual(await next, ['10.0.0.2']);
});

test('of two interfaces with the same private addresses the neighbour is that of the one that was reached', () => {
  const links = [
    { name: 'eth0', address: '192.168.1.1', prefixLength: 24 },
    { name: 'eth1', address: '192.168.1.2', prefixLength: 24 },
  ];
  const table = () => `IP address       HW type     Flags       HW address            Mask     Device
192.168.1.9      0x1         0x2         52:54:00:00:00:01     *        eth0
192.168.1.9      0x1         0x2         52:54:00:00:00:02     *        eth1
`;
  const at = (ours?: string, address = '192.168.1.9') => neighbourAt(links, address, ours, table);
  assert.equal(at('192.168.1.1'), '52:54:00:00:00:01');
  assert.equal(at('192.168.1.2'), '52:54:00:00:00:02');
  assert.equal(at('203.0.113.7'), '52:54:00:00:00:01', 'at an address of neither: whoever is known');
  assert.equal(at('192.168.1.1', '192.168.1.10'), undefined);
  assert.equal(at('192.168.1.1', '10.0.0.9'), 'foreign');
});

test('a network that nobody could be asked on is no empty one; each segment is asked by its own interface', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'place-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const table = join(folder, 'arp');
  const row = '10.0.0.7 0x1 0x2 52:54:00:00:00:01 * b';
  writeFileSync(table, `IP address HW type Flags HW address Mask Device\n${row}\n`);
  const [there, nowhere] = ['52:54:00:00:00:01' as Mac, '52:54:00:00:00:09' as Mac];
  const segments = ['a', 'b'].map((name) => ({ name, address: '10.0.0.1', prefixLength: 29 }));
  const asked: string[] = [];
  const finder = (down: readonly string[], from = table) =>
    makeFinder(segments, () => 0, {
      table: from,
      pause: async () => {},
      open: ({ name }) => ({
        send(address, _port, failed) {
          asked.push(`${name} ${address}`);
          if (down.includes(name)) failed(new Error('send ENETDOWN'));
        },
        close() {},
      }),
    });
  assert.deepEqual(await finder([]).find([nowhere]), []);
  assert.equal(new Set(asked).size, 12);
  await assert.rejects(finder(['a']).find([nowhere]), (error: Error) => {
    assert.ok(error instanceof NotLooked);
    assert.match(error.message, /^a: ask 10\.0\.0\.1\/29: send ENETDOWN$/);
    return true;
  });
  // Who was found is found.
  assert.deepEqual(await finder(['a']).find([there]), ['10.0.0.7']);
  await assert.rejects(finder([], join(folder, 'none')).find([there]), /^NotLooked: read neighbours/);
});
