import assert from 'node:assert/strict';
import test from 'node:test';
import { Inventory } from '@nixie/proto/inventory';
import { FirstInventory } from './first-inventory.ts';

/** A machine whose card has the address of the moment. */
function machine(address = '10.0.0.7') {
  const is = { address, ticks: 0, collected: 0, fails: false, disks: 'sda' };
  const first = new FirstInventory(
    async () => {
      is.collected += 1;
      if (is.fails) throw new Error('a tree that is gone');
      const nics = [{ name: 'eth0', addresses: [`${is.address}/24`] }, { name: 'eth1' }];
      return Inventory.fromPartial({ collectedInMs: is.collected, nics });
    },
    () => is.disks,
    { ticks: () => is.ticks },
  );
  return { is, first };
}
const reached = (inventory: Inventory) => inventory.nics.map((nic) => nic.reached);

test('what was begun is taken, with the card that reached the controller', async () => {
  const { is, first } = machine();
  first.begin();
  first.begin();
  is.ticks = 2999;
  const taken = await first.take('10.0.0.7');
  assert.deepEqual([taken.collectedInMs, is.collected, reached(taken)], [1, 1, [true, false]]);
});

test('what is old, was never begun, or knows nothing of the address is gathered anew', async () => {
  const old = machine();
  old.first.begin();
  old.is.ticks = 3000;
  assert.equal((await old.first.take('10.0.0.7')).collectedInMs, 2);

  const never = machine();
  assert.equal((await never.first.take('10.0.0.7')).collectedInMs, 1);
  // Loopback is on no card: that is told as it is, and nobody asks without end.
  assert.deepEqual(reached(await never.first.take('127.0.0.1')), [false, false]);
  assert.equal(never.is.collected, 2);

  const late = machine('169.254.1.1');
  late.first.begin();
  late.is.address = '10.0.0.7';
  const taken = await late.first.take('10.0.0.7');
  assert.deepEqual([taken.collectedInMs, reached(taken)], [2, [true, false]]);
});

test('a disk that came since is not left out', async () => {
  const { is, first } = machine();
  first.begin();
  is.disks = 'sda,sdb';
  assert.equal((await first.take('10.0.0.7')).collectedInMs, 2);
});

test('a failure is told to the one who takes it', async () => {
  const { is, first } = machine();
  is.fails = true;
  first.begin();
  await assert.rejects(first.take('10.0.0.7'), /a tree that is gone/);
});
