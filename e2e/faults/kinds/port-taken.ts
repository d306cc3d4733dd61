// Another program on the controller's computer has the boot server's port.

import { bootServer } from '../../lab/foreign-dhcp.ts';
import { installLimitMs } from '../../lab/scenario.ts';
import type { Fault } from '../fault.ts';

export const portTaken: Fault = {
  name: 'port-taken',
  what: 'UDP port 67 taken by dnsmasq',
  where: 'start',
  async before(field) {
    const { lab } = field.scene;
    const server = await bootServer(lab.net, {
      scriptUrl: 'http://10.77.0.1/none',
      loaderUrl: 'http://10.77.0.1/none.efi',
      tftpRoot: lab.folder,
      deadlineMs: installLimitMs,
    });
    field.cleanups.push(() => server.stop());
  },
  async inject(field) {
    field.struck();
  },
  expect: { status: 3, results: {}, says: /port (?:67|69).*dnsmasq/ },
};
