// The LAN's own DHCP server is dead when the machine is switched on: Nixie beside it has no addresses to give.
import { setTimeout as sleep } from 'node:timers/promises';
import { allProved, type Fault } from '../fault.ts';
import type { Field } from '../field.ts';

const kill = (field: Field) => field.endForeignDhcp();

export const dhcpBack: Fault = {
  name: 'foreign-dhcp-dead-20s',
  what: 'foreign DHCP server dead, back 20 s after power-on',
  where: 'firmware',
  before: kill,
  async inject(field) {
    await field.reached('waking');
    field.struck();
    await sleep(20_000);
    await field.startForeignDhcp();
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
  expect: { status: 1, results: { machine1: 'failed' }, says: /does a DHCP server give it an address/ },
};
