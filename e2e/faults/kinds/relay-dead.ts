// The relay of the machine's subnet is dead when it is switched on: Nixie and the site's DHCP server, both beyond the
// router, hear nothing of it meanwhile.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Child } from '../../lab/child.ts';
import { runOnceMore } from '../../lab/later-runs.ts';
import { lan, lan2 } from '../../lab/net.ts';
import { startRelay } from '../../lab/relay.ts';
import { installLimitMs } from '../../lab/scenario.ts';
import { allProved, type Fault, machine1 } from '../fault.ts';
import type { Field } from '../field.ts';

const cidr = `${lan2.prefix}.0/24`;
const servers = [lan.nixie, lan.foreignDhcp];

async function back(field: Field): Promise<void> {
  const relay: Child = await startRelay(field.scene.lab.net, { servers, deadlineMs: 2 * installLimitMs });
  field.cleanups.push(() => relay.stop());
}

export const relayDead: Fault = {
  name: 'foreign-relay-dead-20s',
  what: 'foreign relay of another subnet dead, back 20 s after power-on; the DHCP server there is a foreign one',
  where: 'firmware',
  lab: { machines: [machine1, { ...machine1, name: 'machine2', firmware: 'bios' }], beyond: true, subnets: [{ cidr }] },
  async before({ scene }) {
    await scene.lab.relay?.stop();
  },
  async inject(field) {
    await field.reached('waking');
    field.struck();
    await sleep(20_000);
    await back(field);
  },
  async look(field) {
    const places = field.events().flatMap((event) => (event.event === 'seen' ? (event.giaddr ?? []) : []));
    if (!places.includes(lan2.router)) throw new Error('nothing was heard through the relay');
    // The controller forgot what the relay told it, and no neighbour table knows these MACs.
    const { lab, supplies, args } = field.scene;
    const again = await runOnceMore(lab, supplies, args);
    if (!again.good) throw new Error(`run again: ${again.summary}`);
  },
  expect: allProved,
};
