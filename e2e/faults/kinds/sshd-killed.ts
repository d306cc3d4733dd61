// sshd of the installer dies with all its sessions while the closure is copied; systemd starts it again.
import { allProved, type Fault } from '../fault.ts';

export const sshdKilled: Fault = {
  name: 'sshd-killed-copy',
  what: 'sshd and its sessions killed (SIGKILL)',
  where: 'copy',
  async inject(field) {
    await field.copying();
    // From outside the service, or the command would end itself.
    await field.inInstaller('systemd-run --quiet sh -c "sleep 1; systemctl kill -s KILL --kill-whom=all sshd.service"');
    field.struck();
  },
  expect: allProved,
};
