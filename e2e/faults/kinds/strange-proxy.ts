// Somebody else's ProxyDHCP server answers the same machines with a boot file of its own: a kernel without a system, which stays where it is.
// The firmware takes the offer that is there first.
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { strangeProxy } from '../../lab/foreign-dhcp.ts';
import { lan } from '../../lab/net.ts';
import { installLimitMs } from '../../lab/scenario.ts';
import { allProved, type Fault } from '../fault.ts';

export const strangeProxyAnswers: Fault = {
  name: 'strange-proxy',
  what: 'a second ProxyDHCP server with another boot file',
  where: 'firmware',
  args: ({ args }) => [...args, '--boot-timeout', '120'],
  async before(field) {
    const { lab, supplies } = field.scene;
    const attribute = `${supplies.flake}#nixosConfigurations.installer.config.system.build.kernel`;
    const built = await supplies.inStore(['nix', 'build', '--no-link', '--json', attribute]);
    const [{ outputs }] = JSON.parse(built) as [{ outputs: { out: string } }];
    const tftpRoot = join(lab.folder, 'strange');
    mkdirSync(tftpRoot);
    copyFileSync(join(supplies.onHost(outputs.out), 'bzImage'), join(tftpRoot, 'strange.efi'));
    const namespace = await lab.net.addServer('strange', `${lan.prefix}.3`);
    const server = await strangeProxy(lab.net, {
      namespace,
      tftpRoot,
      file: 'strange.efi',
      deadlineMs: installLimitMs,
    });
    field.cleanups.push(() => server.stop());
  },
  async inject(field) {
    await field.reached('firmware');
    field.struck();
  },
  expect: { status: 1, results: { machine1: 'failed' }, says: /another PXE server/, or: allProved },
};
