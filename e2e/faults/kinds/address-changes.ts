// The LAN's DHCP server gives the installed system another address than it gave the installer.
import { foreignDhcp } from '../../lab/foreign-dhcp.ts';
import { installLimitMs } from '../../lab/scenario.ts';
import { allProved, type Fault } from '../fault.ts';

export const addressChanges: Fault = {
  name: 'address-changes',
  what: 'another address for the installed system',
  where: 'rebooting',
  async inject(field) {
    const { lab } = field.scene;
    await field.reached('rebooting');
    field.struck();
    await lab.foreign?.stop();
    const other = await foreignDhcp(lab.net, { ra: true, deadlineMs: installLimitMs, from: 200, to: 220 });
    field.cleanups.push(() => other.stop());
  },
  expect: allProved,
};
