// The LAN's DHCP server gives the installed system another address than it gave the installer.
import { allProved, type Fault } from '../fault.ts';

export const addressChanges: Fault = {
  name: 'address-changes',
  what: 'another address for the installed system',
  where: 'rebooting',
  async inject(field) {
    await field.reached('rebooting');
    field.struck();
    await field.endForeignDhcp();
    await field.startForeignDhcp(200, 220);
  },
  expect: allProved,
};
