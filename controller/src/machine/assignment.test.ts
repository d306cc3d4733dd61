import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { addressNumber, sameNetwork } from '../wire/dhcp4/address.ts';
import { type AssignmentParts, assignAddresses } from './assignment.ts';
import type { Host } from './host.ts';
import type { Mac } from './mac.ts';

const mac = (number: number): Mac => `52:54:00:00:00:${number.toString(16).padStart(2, '0')}` as Mac;

function host(name: string, macs: readonly Mac[], address?: string): Host {
  return {
    name,
    flakeAttr: name,
    macs,
    system: 'x86_64-linux',
    tags: [],
    boot: [],
    expectDisks: [],
    wipe: false,
    ...(address === undefined ? {} : { address }),
  };
}

const parts = (over: Partial<AssignmentParts>): AssignmentParts => ({
  hosts: [],
  address: '10.77.0.1',
  prefixLength: 24,
  range: { from: '10.77.0.100', to: '10.77.0.109' },
  taken: [],
  previous: {},
  ...over,
});

const given = (over: Partial<AssignmentParts>): Readonly<Record<Mac, string>> => {
  const result = assignAddresses(parts(over));
  assert.equal(result.kind, 'assigned', JSON.stringify(result));
  return result.kind === 'assigned' ? result.addresses : {};
};

test('each MAC gets an address of its own, static ones first', () => {
  const addresses = given({ hosts: [host('b', [mac(2), mac(3)]), host('a', [mac(1)], '10.77.0.105')] });
  assert.equal(addresses[mac(1)], '10.77.0.105');
  assert.equal(new Set(Object.values(addresses)).size, 3);
});

test('a static address outside the range is fine; the second MAC of its host comes from the range', () => {
  const addresses = given({ hosts: [host('a', [mac(1), mac(2)], '10.77.0.7')] });
  assert.equal(addresses[mac(1)], '10.77.0.7');
  assert.match(addresses[mac(2)]!, /^10\.77\.0\.10[0-9]$/);
});

test('earlier addresses are kept, unless they are somebody else’s now or out of the range', () => {
  const previous = { [mac(1)]: '10.77.0.103', [mac(2)]: '10.77.0.104', [mac(3)]: '10.9.9.9' };
  const addresses = given({
    hosts: [host('a', [mac(1)]), host('b', [mac(2)]), host('c', [mac(3)]), host('d', [mac(4)], '10.77.0.104')],
    previous,
  });
  assert.equal(addresses[mac(1)], '10.77.0.103');
  assert.notEqual(addresses[mac(2)], '10.77.0.104');
  assert.match(addresses[mac(3)]!, /^10\.77\.0\.10[0-9]$/);
});

test('what unlisted machines had is given last', () => {
  const previous = Object.fromEntries([0, 1, 2, 3, 4, 5, 6, 7, 8].map((i) => [mac(200 + i), `10.77.0.${100 + i}`]));
  assert.equal(given({ hosts: [host('a', [mac(1)])], previous })[mac(1)], '10.77.0.109');
});

test('the order in the file does not matter, nor does a lost state with one machine', () => {
  const hosts = [host('a', [mac(1)]), host('b', [mac(2)]), host('c', [mac(3)])];
  assert.deepEqual(given({ hosts }), given({ hosts: hosts.toReversed() }));
  assert.equal(given({ hosts: [hosts[0]!] })[mac(1)], given({ hosts: [hosts[0]!] })[mac(1)]);
});

test('problems, all at once', () => {
  const result = assignAddresses(
    parts({
      hosts: [
        host('own', [mac(1)], '10.77.0.1'),
        host('far', [mac(2)], '10.78.0.5'),
        host('one', [mac(3)], '10.77.0.50'),
        host('two', [mac(4)], '10.77.0.50'),
        host('end', [mac(5)], '10.77.0.255'),
        host('bad', [mac(6)], '10.77.0.256'),
        ...Array.from({ length: 12 }, (_, i) => host(`m${i}`, [mac(10 + i)])),
      ],
      taken: ['10.77.0.109'],
    }),
  );
  assert(result.kind === 'problems');
  assert.deepEqual(
    result.problems.map((problem) => [problem.kind, problem.host]),
    [
      ['taken', 'own'],
      ['outside', 'far'],
      ['twice', 'two'],
      ['outside', 'end'],
      ['outside', 'bad'],
      ['too small', undefined],
    ],
  );
  assert.match(result.problems.at(-1)!.text, /3 more addresses are needed/);
});

test('a range that is not one', () => {
  for (const [from, to] of [
    ['10.77.0.9', '10.77.0.5'],
    ['10.77.0.0', '10.77.0.5'],
    ['10.77.0.9', '10.77.0.255'],
    ['10.77.0.9', '10.77.1.5'],
    ['x', '10.77.0.5'],
  ] as const) {
    const result = assignAddresses(parts({ range: { from, to } }));
    assert(result.kind === 'problems', `${from}-${to}`);
    assert.equal(result.problems[0]!.kind, 'range');
  }
});

test('any hosts: no address twice, none taken, all inside; a second run with the first as previous changes nothing', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.nat(255), { maxLength: 40 }),
      fc.array(fc.nat(255), { maxLength: 5 }),
      (macs, busy) => {
        const hosts = macs.map((number) => host(`h${number}`, [mac(number)]));
        const taken = busy.map((number) => `10.77.0.${number}`);
        const base = { hosts, taken, range: { from: '10.77.0.20', to: '10.77.0.90' } };
        const addresses = given(base);
        const values = Object.values(addresses);
        assert.equal(values.length, hosts.length);
        assert.equal(new Set(values).size, values.length);
        for (const value of values) {
          assert(sameNetwork(value, '10.77.0.1', 24) && !taken.includes(value));
          assert(
            addressNumber(value) >= addressNumber('10.77.0.20') && addressNumber(value) <= addressNumber('10.77.0.90'),
          );
        }
        assert.deepEqual(given({ ...base, hosts: hosts.toReversed(), previous: addresses }), addresses);
      },
    ),
  );
});
