import assert from 'node:assert/strict';
import test from 'node:test';
import type { Mac } from '../machine/mac.ts';
import { AddressUsers, addressesRemembered } from './address-users.ts';

const mac = (n: number) =>
  `52:54:00:00:${(n >> 8).toString(16).padStart(2, '0')}:${(n & 255).toString(16).padStart(2, '0')}` as Mac;
const address = (n: number) => `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`;

test('who used an address last, of each interface; an unset address is nobody’s', () => {
  const users = new AddressUsers();
  users.saw('lan0', '10.0.0.9', mac(1));
  users.saw('lan0', '10.0.0.9', mac(2));
  users.saw('lan1', '10.0.0.9', mac(3));
  users.saw('lan0', '0.0.0.0', mac(4));
  assert.deepEqual(
    [users.of('lan0', '10.0.0.9'), users.of('lan1', '10.0.0.9'), users.of('lan2', '10.0.0.9')],
    [mac(2), mac(3), undefined],
  );
  assert.deepEqual([users.of('lan0', '0.0.0.0'), users.of(undefined, '10.0.0.9')], [undefined, undefined]);
});

test('those last heard are remembered, and those long silent are forgotten', () => {
  const users = new AddressUsers();
  const last = 3 * addressesRemembered;
  for (let n = 1; n <= last; n++) {
    users.saw('lan0', address(n), mac(n));
    users.saw('lan0', address(1), mac(1)); // goes on asking
  }
  for (let n = last - addressesRemembered + 2; n <= last; n++) assert.equal(users.of('lan0', address(n)), mac(n));
  assert.equal(users.of('lan0', address(1)), mac(1));
  assert.equal(users.of('lan0', address(2)), undefined);
});

test('an address that changed hands since is the new one’s, however old the first word is', () => {
  const users = new AddressUsers();
  users.saw('lan0', address(1), mac(1));
  for (let n = 2; n <= addressesRemembered + 2; n++) users.saw('lan0', address(n), mac(n));
  assert.equal(users.of('lan0', address(1)), mac(1));
  users.saw('lan0', address(1), mac(7));
  assert.equal(users.of('lan0', address(1)), mac(7));
});
