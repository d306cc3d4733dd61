import assert from 'node:assert/strict';
import test from 'node:test';
import { Inventory } from '@nixie/proto/inventory';
import type { Mac } from './mac.ts';
import { hostsSkeleton, nameFor, type ReadMachine } from './skeleton.ts';

const one = '52:54:00:00:00:01' as Mac;
const two = '52:54:00:00:00:02' as Mac;

test("a name is made of product and serial number, else of the MAC, and is nobody else's", () => {
  const of = (product?: string, serial?: string) => Inventory.fromPartial({ system: { product, serial } });
  assert.equal(nameFor(one, of('PowerEdge R640', '8XK2M13'), new Set()), 'poweredge-r640-8xk2m13');
  assert.equal(nameFor(one, of('PowerEdge R640'), new Set()), 'machine-525400000001');
  assert.equal(nameFor(one, Inventory.fromPartial({}), new Set()), 'machine-525400000001');
  assert.equal(nameFor(one, of('—', '*'), new Set()), 'machine-525400000001');
  assert.equal(nameFor(one, of('A', 'B'), new Set(['a-b'])), 'a-b-525400000001');
});

test('the skeleton names all cards of a machine, the one it booted by first, and none that two have', () => {
  const machine = (name: string, mac: Mac, arch: string, ...cards: string[]): ReadMachine => ({
    name,
    mac,
    inventory: Inventory.fromPartial({
      boot: { arch },
      nics: cards.map((card) => ({ name: 'e', permanentMac: card })),
    }),
  });
  const text = hostsSkeleton([
    machine('a', one, 'x86_64', '52:54:00:00:00:0a', one, '52:54:00:00:00:dd', '01:00:5e:00:00:01'),
    machine('b', two, 'aarch64', two, '52:54:00:00:00:dd'),
    machine('c', '52:54:00:00:00:03' as Mac, 'x86_64', one),
  ]);
  assert.deepEqual(JSON.parse(text), {
    a: { mac_addresses: [one, '52:54:00:00:00:0a'], inventory: 'a/inventory.json' },
    b: { mac_address: two, system: 'aarch64-linux', inventory: 'b/inventory.json' },
    c: { mac_address: '52:54:00:00:00:03', inventory: 'c/inventory.json' },
  });
});
