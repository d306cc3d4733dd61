// A machine with two network cards on the same LAN: both get addresses, the firmware may boot by either, and Linux answers ARP for each of its
// addresses by both. The addresses change at the reboot, so that nothing but the MAC leads to the installed system.
import assert from 'node:assert/strict';
import { readDhcpCapture } from '../../lab/capture.ts';
import { run } from '../../lab/child.ts';
import { lan } from '../../lab/net.ts';
import { allProved, type Fault, machine1 } from '../fault.ts';
import type { Field } from '../field.ts';

export const secondCard = { mac: '52:54:00:77:02:01' } as const;
const machine = { ...machine1, secondCard: { ...secondCard, asksFirst: true } };

async function inject(field: Field, atReboot: () => Promise<unknown> = async () => {}): Promise<void> {
  await field.copying();
  const addresses = (await field.inInstaller('ip -4 -o address show scope global')).trim().split('\n');
  assert.equal(addresses.length, 2, `both cards have addresses: ${addresses.join('; ')}`);
  await field.reached('rebooting');
  field.struck('machine1', 'proved');
  await atReboot();
  await field.endForeignDhcp();
  await field.startForeignDhcp(200, 220);
}

/** One agent, a script for each time that it registered, nobody taken for somebody else. */
function look(field: Field): void {
  const events = field.events();
  const warnings = events.flatMap((event) => (event.event === 'notice' && event.level !== 'info' ? [event.text] : []));
  assert.deepEqual(
    warnings.filter((text) => /claim|refused|another/.test(text)),
    [],
  );
  const registered = field.stages().filter(({ stage }) => stage === 'registered').length;
  const scripts = events.filter((event) => event.event === 'seen' && event.kind === 'http-script').length;
  const course = events.flatMap((event) =>
    event.event === 'stage' || (event.event === 'seen' && event.kind.startsWith('http-'))
      ? [`${event.at} ${event.event === 'stage' ? event.stage : `${event.kind} ${event.detail}`}`]
      : [],
  );
  // Firmware that waits too long for a packet asks for its script again.
  assert.ok(scripts >= registered, `a boot script, so a token, for each registration\n${course.join('\n')}`);
  // An installer has an address for each card, and may take either in each boot.
  const [proved, ...before] = field
    .stages()
    .flatMap(({ address }) => address ?? [])
    .reverse();
  assert.ok(proved !== undefined && before.length > 0 && !before.includes(proved), `${proved} after ${before}`);
  assert.ok(new Set(before).size <= 2, `one address a card: ${before}`);
}

export const bothCardsListed: Fault = {
  name: 'two-cards-listed',
  what: 'two network cards on one LAN, both in the hosts file; the firmware boots by the second',
  where: 'everywhere',
  lab: { machines: [machine], hostKeys: { machine1: { mac_addresses: [secondCard.mac] } } },
  inject,
  look(field) {
    look(field);
    const script = field.events().find((event) => event.event === 'seen' && event.kind === 'http-script');
    assert.equal(script?.event === 'seen' ? script.mac : undefined, secondCard.mac, 'it booted by the second card');
  },
  expect: allProved,
};

export const oneCardListed: Fault = {
  name: 'two-cards-one-listed',
  what: 'two network cards on one LAN, one of them in the hosts file; the other one asks first, and answers ARP for both',
  where: 'everywhere',
  lab: { machines: [machine] },
  inject: (field) =>
    inject(field, () => {
      // The switch brings no broadcast to the listed card any more: who asks for its address finds the other one.
      const { net } = field.scene.lab;
      return run(['bridge', '-n', net.lan, 'link', 'set', 'dev', field.machine().tap, 'bcast_flood', 'off']);
    }),
  look(field) {
    look(field);
    const packets = readDhcpCapture(field.scene.lab.capture.file).filter(({ mac }) => mac === secondCard.mac);
    assert.ok(
      packets.some(({ type }) => type === 'DISCOVER'),
      'the card that is not listed asked',
    );
    assert.deepEqual(
      packets.filter(({ from, serverId }) => from === lan.nixie || serverId === lan.nixie),
      [],
      'and heard nothing from Nixie',
    );
  },
  expect: allProved,
};
