import assert from 'node:assert/strict';
import test from 'node:test';
import { makeMacAt } from './neighbours.ts';

const links = ['lan0', 'lan1'].map((name, i) => ({ name, address: `10.0.0.${i + 1}`, prefixLength: 24 }));
const table = `IP address       HW type     Flags       HW address            Mask     Device
10.0.0.100       0x1         0x2         52:54:00:00:00:01     *        lan0
10.0.0.100       0x1         0x2         52:54:00:00:00:02     *        lan1
10.0.0.101       0x1         0x2         52:54:00:00:00:03     *        lan1
10.0.0.101       0x1         0x2         52:54:00:00:00:04     *        wan
10.0.0.102       0x1         0x2         52:54:00:00:00:05     *        wan
`;

test('of two interfaces with the same private network each has its own machines', () => {
  const macAt = makeMacAt(links, () => table);
  assert.equal(macAt('10.0.0.100', { interface: 'lan0' }), '52:54:00:00:00:01');
  assert.equal(macAt('10.0.0.100', { interface: 'lan1' }), '52:54:00:00:00:02');
  assert.equal(macAt('10.0.0.100', { ours: '10.0.0.1' }), '52:54:00:00:00:01');
  assert.equal(macAt('10.0.0.100', { ours: '10.0.0.2' }), '52:54:00:00:00:02');
  assert.equal(macAt('10.0.0.101', { ours: '10.0.0.1' }), undefined);
  // Nobody says which.
  assert.equal(macAt('10.0.0.100'), undefined);
  assert.equal(macAt('10.0.0.101'), '52:54:00:00:00:03');
  // None of ours.
  assert.equal(macAt('10.0.0.102'), undefined);
  assert.equal(makeMacAt(links, () => '')('10.0.0.100'), undefined);
});
