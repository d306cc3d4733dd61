// Somebody else's ProxyDHCP server answers the same machines with a boot file of its own, which is no program.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { strangeProxy } from '../../lab/foreign-dhcp.ts';
import { lan } from '../../lab/net.ts';
import { installLimitMs } from '../../lab/scenario.ts';
import { allProved, type Fault, machine1 } from '../fault.ts';
import type { Field } from '../field.ts';

const common = {
  what: 'a second ProxyDHCP server with another boot file',
  async before(field: Field) {
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
};

/** Its PXE takes the other file, which is no program; its HTTP Boot, which comes next, hears nobody but Nixie. */
export const strangeProxyUefi: Fault = {
  ...common,
  name: 'strange-proxy-uefi',
  where: 'firmware (UEFI)',
  async inject(field) {
    await field.reached('waking');
    field.struck();
  },
  expect: allProved,
};

/** Its only network boot is the iPXE of its card, to which Nixie says that it ranks highest. */
export const strangeProxyBios: Fault = {
  ...common,
  name: 'strange-proxy-bios',
  where: 'firmware (BIOS)',
  lab: { machines: [{ ...machine1, firmware: 'bios' }] },
  async inject(field) {
    await field.reached('waking');
    field.struck();
  },
  expect: allProved,
};
