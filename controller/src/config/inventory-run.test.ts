import assert from 'node:assert/strict';
import test from 'node:test';
import { Inventory } from '@nixie/proto/inventory';
import fc from 'fast-check';
import type { Host } from '../machine/host.ts';
import type { Mac } from '../machine/mac.ts';
import { hostsSkeleton, nameFor, type ReadMachine } from '../machine/skeleton.ts';
import { parseHosts } from './hosts.ts';
import { allowedAs } from './inventory-run.ts';

const one = '52:54:00:00:00:01' as Mac;
const two = '52:54:00:00:00:02' as Mac;

test('who may be booted: hosts of the file by their name, others by the beginning of their MAC, nobody else', () => {
  const hosts = [{ name: 'web1', macs: [one] } as unknown as Host];
  assert.equal(allowedAs({ hosts, prefixes: [] }, one), hosts[0]);
  assert.equal(allowedAs({ hosts, prefixes: [] }, two), undefined);
  assert.equal(allowedAs({ hosts, prefixes: [''] }, two), 'any');
  assert.equal(allowedAs({ hosts, prefixes: ['52:54'] }, two), 'any');
  assert.equal(allowedAs({ hosts, prefixes: ['52:55', 'aa'] }, two), undefined);
});

test('whatever machines say of themselves, the hosts file is one that Nixie reads, with a machine for each', () => {
  const word = fc.option(fc.oneof(fc.string({ maxLength: 80 }), fc.constantFrom('R1', 'S', '../x', '__proto__')), {
    nil: undefined,
  });
  const card = fc.constantFrom(
    one,
    two,
    '52:54:00:00:00:03',
    '52:54:00:00:00:04',
    'x',
    '01:00:00:00:00:00',
    '00:00:00:00:00:00',
  );
  const described = fc.record({ product: word, serial: word, arch: word, cards: fc.array(card, { maxLength: 4 }) });
  fc.assert(
    fc.property(fc.array(described, { minLength: 1, maxLength: 4 }), (all) => {
      const machines: ReadMachine[] = [];
      all.forEach(({ product, serial, arch, cards }, i) => {
        const mac = `52:54:00:00:00:0${i + 1}` as Mac;
        const inventory = Inventory.fromPartial({
          system: { product, serial },
          boot: { arch },
          nics: cards.map((permanentMac) => ({ permanentMac })),
        });
        const name = nameFor(mac, inventory, new Set(machines.map((each) => each.name)));
        machines.push({ name, mac, inventory });
      });
      const read = parseHosts(new TextEncoder().encode(hostsSkeleton(machines)), 'hosts.json');
      assert.ok(read.ok, JSON.stringify(read));
      assert.deepEqual(
        read.hosts.map(({ name, macs }) => [name, macs[0]]).sort(),
        machines.map(({ name, mac }) => [name, mac]).sort(),
      );
    }),
    { numRuns: 300 },
  );
});
