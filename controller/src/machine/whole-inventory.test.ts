import assert from 'node:assert/strict';
import test from 'node:test';
import { Inventory } from '@nixie/proto/inventory';
import { oversized, wholeInventory } from './whole-inventory.ts';

const disk = { path: '/dev/sda', serial: 'A', sizeBytes: 9n };
const full = Inventory.fromPartial({
  depth: 'full',
  boot: { bootId: 'b1' },
  disks: [
    { ...disk, firmware: 'F', hasData: true, signatures: ['zfs'] },
    { path: '/dev/sdb', sizeBytes: 1n },
  ],
  tpm: { present: true },
});
const looked = Inventory.fromPartial({
  boot: { bootId: 'b1' },
  disks: [{ ...disk, hasData: true, table: 'gpt', nixosHost: 'web1' }],
});

test('the full inventory of this boot, with what was read of the disks since', () => {
  const whole = wholeInventory(full, looked)!;
  assert.equal(whole.tpm?.present, true);
  assert.deepEqual(
    whole.disks.map(({ path, firmware, table, nixosHost, signatures }) => ({
      path,
      firmware,
      table,
      nixosHost,
      signatures,
    })),
    [
      { path: '/dev/sda', firmware: 'F', table: 'gpt', nixosHost: 'web1', signatures: [] },
      { path: '/dev/sdb', firmware: undefined, table: undefined, nixosHost: undefined, signatures: [] },
    ],
  );
  assert.equal(wholeInventory(full, undefined), full);
  assert.equal(wholeInventory(undefined, looked), looked);
  assert.equal(wholeInventory(undefined, undefined), undefined);
  const later = Inventory.fromPartial({ ...looked, boot: { bootId: 'b2' } });
  assert.equal(wholeInventory(full, later), later);
  const exchanged = Inventory.fromPartial({ ...looked, disks: [{ ...disk, serial: 'B', nixosHost: 'x' }] });
  assert.equal(wholeInventory(full, exchanged)?.disks[0]?.nixosHost, undefined);
});

test('a disk that a later look finds in use, or free again, is told so', () => {
  const now = (inUse: boolean | undefined, mountedAt: string[]) =>
    wholeInventory(
      Inventory.fromPartial({ ...full, disks: [{ ...disk, inUse: !inUse }] }),
      Inventory.fromPartial({ ...looked, disks: [{ ...disk, inUse, mountedAt }] }),
    )!.disks.map((each) => [each.inUse, each.mountedAt]);
  assert.deepEqual(now(true, ['/mnt']), [[true, ['/mnt']]]);
  assert.deepEqual(now(false, []), [[false, []]]);
  assert.deepEqual(now(undefined, []), [[undefined, []]]);
});

test('more than any machine has is not kept', () => {
  assert.equal(oversized(full), undefined);
  const nics = Array.from({ length: 1025 }, (_, i) => ({ name: `e${i}` }));
  assert.equal(oversized(Inventory.fromPartial({ nics })), 'its inventory lists 1025 nics, accepted: 1024');
});
