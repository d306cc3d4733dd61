// The LAN's own DHCP server is dead when the machine is switched on: Nixie beside it has no addresses to give.
import { setTimeout as sleep } from 'node:timers/promises';
import { foreignDhcp } from '../../lab/foreign-dhcp.ts';
import { installLimitMs } from '../../lab/scenario.ts';
import { allProved, type Fault } from '../fault.ts';
import type { Field } from '../field.ts';

const kill = async (field: Field) => {
  await field.scene.lab.foreign?.stop();
};

export const dhcpBack: Fault = {
  name: 'foreign-dhcp-dead-20s',
  what: 'foreign DHCP server dead, back 20 s after power-on',
  where: 'firmware',
  before: kill,
  async inject(field) {
    await field.reached('waking');
    field.struck();
    await sleep(20_000);
    const back = await foreignDhcp(field.scene.lab.net, { ra: true, deadlineMs: installLimitMs });
    field.cleanups.push(() => back.stop());
  },
  expect: allProved,
};

export const dhcpDead: Fault = {
  name: 'foreign-dhcp-dead',
  what: 'foreign DHCP server dead for good',
  where: 'firmware',
  args: ({ args }) => [...args, '--wake-timeout', '90', '--boot-timeout', '60'],
  before: kill,
  async inject(field) {
    await field.reached('waking');
    field.struck();
  },
  expect: { status: 1, results: { machine1: 'failed' }, says: /DHCP/ },
};
