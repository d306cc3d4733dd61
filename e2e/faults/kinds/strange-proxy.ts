// Somebody else's ProxyDHCP server answers the same machines with a boot file of its own, which is no program.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { strangeProxy } from '../../lab/foreign-dhcp.ts';
import { lan } from '../../lab/net.ts';
import { installLimitMs } from '../../lab/scenario.ts';
import type { Fault } from '../fault.ts';

export const strangeProxyAnswers: Fault = {
  name: 'strange-proxy',
  what: 'a second ProxyDHCP server with another boot file',
  where: 'firmware',
  args: ({ args }) => [...args, '--boot-timeout', '75'],
  async before(field) {
    const { lab } = field.scene;
    const tftpRoot = join(lab.folder, 'strange');
    mkdirSync(tftpRoot);
    writeFileSync(join(tftpRoot, 'strange.efi'), 'no program\n'.repeat(100));
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
    await field.reached('waking');
    field.struck();
  },
  expect: { status: 1, results: { machine1: 'failed' }, says: /another PXE server|ProxyDHCP/ },
};
