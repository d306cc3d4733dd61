// nixos-anywhere says Done! because the link was cut while it waited for the reboot, and the machine never rebooted.
import { until } from '../../lab/patience.ts';
import { allProved, type Fault } from '../fault.ts';

export const falseDone: Fault = {
  name: 'false-done',
  what: 'no reboot, and the link cut while nixos-anywhere waits for it (it says Done!)',
  where: 'rebooting',
  async inject(field) {
    // Without its agent the reboot is nixos-anywhere's, and its first order comes to nothing. That is seen to while the closure is copied: two logins
    // in a slow machine last nearly as long as nixos-install.
    await field.copying();
    await field.inInstaller('systemctl mask --runtime reboot.target');
    await field.reached('install');
    await field.inInstaller('systemctl stop nixie-agent');
    await field.logged(/Waiting for the machine to become unreachable/);
    // The order waits for six seconds, behind the connection that gave it; when it is gone it came to nothing.
    const looks = "grep -qs 'sleep [6] && reboot' /proc/[0-9]*/cmdline || grep -qsx reboot /proc/[0-9]*/comm";
    const waits = `(${looks}) && echo waits || echo gone`;
    await until('the order to reboot to be gone', async () => (await field.inInstaller(waits)).trim() === 'gone');
    await field.inInstaller('systemctl unmask --runtime reboot.target; systemctl start nixie-agent');
    field.struck('machine1', 'proved');
    await field.unplug(20_000);
  },
  expect: allProved,
};
