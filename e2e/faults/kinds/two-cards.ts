// A machine with two network cards on the same LAN: both get addresses, the firmware may boot by either, and Linux answers ARP for each of its
// addresses by both. The addresses change at the reboot, so that nothing but the MAC leads to the installed system.
import assert from 'node:assert/strict';
import { readDhcpCapture } from '../../lab/capture.ts';
import { lan } from '../../lab/net.ts';
import { allProved, type Fault, machine1 } from '../fault.ts';
import type { Field } from '../field.ts';

const second = '52:54:00:77:02:01';
const machine = { ...machine1, secondCard: { mac: second, asksFirst: true } };

async function inject(field: Field): Promise<void> {
  await field.copying();
  const addresses = (await field.inInstaller('ip -4 -o address show scope global')).trim().split('\n');
  assert.equal(addresses.length, 2, `both cards have addresses: ${addresses.join('; ')}`);
  await field.reached('rebooting');
  field.struck('machine1', 'proved');
  await field.endForeignDhcp();
  await field.startForeignDhcp(200, 220);
}

/** One agent, one boot script, nobody taken for somebody else. */
function look(field: Field): void {
  const events = field.events();
  const warnings = events.flatMap((event) => (event.event === 'notice' && event.level !== 'info' ? [event.text] : []));
  assert.deepEqual(warnings, []);
  assert.equal(field.stages().filter(({ stage }) => stage === 'registered').length, 1, 'one agent registered, once');
  const scripts = events.filter((event) => event.event === 'seen' && event.kind === 'http-script');
  assert.equal(scripts.length, 1, 'one boot script, so one token');
  assert.equal(new Set(field.stages().flatMap(({ address }) => address ?? [])).size, 2, 'its address changed');
  const asked = readDhcpCapture(field.scene.lab.capture.file).filter(({ mac }) => mac === second);
  assert.ok(
    asked.some(({ type, vendorClass }) => type === 'DISCOVER' && /^PXEClient/.test(vendorClass ?? '')),
    'the firmware asked by its second card',
  );
}

export const bothCardsListed: Fault = {
  name: 'two-cards-listed',
  what: 'two network cards on one LAN, both in the hosts file; the firmware boots by the second',
  where: 'everywhere',
  lab: { machines: [machine], hostKeys: { machine1: { mac_addresses: [second] } } },
  inject,
  look,
  expect: allProved,
};

export const oneCardListed: Fault = {
  name: 'two-cards-one-listed',
  what: 'two network cards on one LAN, the firmware asks by the one that is not in the hosts file, then by the other',
  where: 'everywhere',
  lab: { machines: [machine] },
  inject,
  look(field) {
    look(field);
    const told = readDhcpCapture(field.scene.lab.capture.file).filter(
      ({ mac, from, serverId }) => mac === second && (from === lan.nixie || serverId === lan.nixie),
    );
    assert.deepEqual(told, [], 'the card that is not listed hears nothing from Nixie');
  },
  expect: allProved,
};
