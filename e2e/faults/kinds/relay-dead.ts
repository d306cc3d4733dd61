// The relay of the machine's subnet is dead for a while: Nixie and the site's DHCP server, both beyond the router, hear nothing of the machine meanwhile.
import { setTimeout as sleep } from 'node:timers/promises';
import { runOnceMore } from '../../lab/later-runs.ts';
import { lan, lan2 } from '../../lab/net.ts';
import { startRelay } from '../../lab/relay.ts';
import { installLimitMs } from '../../lab/scenario.ts';
import { allProved, type Fault, machine1 } from '../fault.ts';
import type { Field } from '../field.ts';

const subnets = [{ cidr: `${lan2.prefix}.0/24` }];
const servers = [lan.nixie, lan.foreignDhcp];
const kill = async ({ scene }: Field): Promise<void> => {
  await scene.lab.relay?.stop();
};

async function comesBack(field: Field): Promise<void> {
  await sleep(20_000);
  const relay = await startRelay(field.scene.lab.net, { servers, deadlineMs: 2 * installLimitMs });
  field.cleanups.push(() => relay.stop());
}

/** Then the controller forgets what the relay told it, and no neighbour table knows these MACs: the machine is found all the same. */
async function foundAgain(field: Field): Promise<void> {
  const seen = field.events().flatMap((event) => (event.event === 'seen' ? (event.giaddr ?? []) : []));
  if (!seen.includes(lan2.router)) throw new Error('nothing was heard through the relay');
  const { lab, supplies, args } = field.scene;
  const again = await runOnceMore(lab, supplies, args);
  if (!again.good) throw new Error(`run again: ${again.summary}`);
}

const relayDeadFirst: Fault = {
  name: 'foreign-relay-dead-at-power-on',
  what: 'relay of another subnet dead, back 20 s after power-on; the DHCP server there is a foreign one',
  where: 'firmware',
  lab: { machines: [machine1], beyond: true, subnets },
  before: kill,
  async inject(field) {
    await field.reached('waking');
    field.struck();
    await comesBack(field);
  },
  look: foundAgain,
  expect: allProved,
};

const relayDeadAtReboot: Fault = {
  name: 'foreign-relay-dead-at-reboot',
  what: 'relay of another subnet dead for 20 s at the reboot of a BIOS machine; the DHCP server there is a foreign one',
  where: 'rebooting',
  lab: { machines: [{ ...machine1, firmware: 'bios' }], beyond: true, subnets },
  async inject(field) {
    await field.reached('rebooting');
    await kill(field);
    field.struck('machine1', 'proved');
    await comesBack(field);
  },
  look: foundAgain,
  expect: allProved,
};

export const relayDeads: readonly Fault[] = [relayDeadFirst, relayDeadAtReboot];
