import assert from 'node:assert/strict';
import test from 'node:test';
import { Inventory } from '@nixie/proto/inventory';
import type { RunEvent } from '../machine/event.ts';
import type { Host } from '../machine/host.ts';
import { checkHardware, type Recorded } from './hardware-check.ts';

const host = { name: 'm1' } as Host;
const one = Inventory.fromPartial({ disks: [{ path: '/dev/sda', serial: 'A', sizeBytes: 1n }] });
const other = Inventory.fromPartial({ disks: [{ path: '/dev/sda', serial: 'B', sizeBytes: 1n }] });

async function play(recorded: (() => Recorded | undefined) | undefined, strictHardware: boolean) {
  const told: RunEvent[] = [];
  const reasons = await checkHardware(
    {
      ...(recorded === undefined ? {} : { recorded: async () => recorded() }),
      strictHardware,
      emit: (event) => void told.push(event),
      now: () => 0,
    },
    host,
    one,
  );
  return {
    reasons,
    told: told.map((event) => (event.event === 'notice' ? `${event.host} ${event.level} ${event.text}` : event.event)),
  };
}

test('differences are told before the install; --strict-hardware makes them a reason', async () => {
  const differs = () => ({ file: '/r/m1.json', inventory: other });
  const text = 'its hardware is not that of /r/m1.json: disk /dev/sda (1 B, B) is gone; disk /dev/sda (1 B, A) is new';
  assert.deepEqual(await play(differs, false), { reasons: [], told: [`m1 warning ${text}`] });
  assert.deepEqual(await play(differs, true), { reasons: [text], told: [] });
  const same = () => ({ file: '/r/m1.json', inventory: one });
  for (const strict of [false, true]) assert.deepEqual(await play(same, strict), { reasons: [], told: [] });
});

test('a record that is not there or can not be read counts for nothing, and stops a strict run', async () => {
  const broken = () => {
    throw new Error('read recorded inventory /r/m1.json: it is gone');
  };
  assert.deepEqual(await play(broken, false), {
    reasons: [],
    told: ['m1 warning read recorded inventory /r/m1.json: it is gone'],
  });
  assert.deepEqual((await play(broken, true)).reasons, ['read recorded inventory /r/m1.json: it is gone']);
  for (const none of [undefined, () => undefined]) {
    assert.deepEqual(await play(none, false), { reasons: [], told: [] });
    assert.deepEqual((await play(none, true)).reasons, [
      'its hardware is not recorded, and --strict-hardware was given',
    ]);
  }
});

test('a long list is cut, and says so', async () => {
  const many = Inventory.fromPartial({
    disks: Array.from({ length: 100 }, (_, i) => ({ path: `/dev/d${i}`, serial: `D${i}`, sizeBytes: 5n })),
  });
  const { reasons } = await play(() => ({ file: '/r', inventory: many }), true);
  assert.match(reasons[0] ?? '', /; 81 more$/);
});
