// The script that is in the iPXE of installer-nix/ipxe.nix, run by Debian's iPXE in its place: it gets an address, goes on to what DHCP named, and
// hands the machine back to its firmware when that ends or nobody answers.
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { start } from '../lab/child.ts';
import { needFiles, needPrograms, skipUnless } from '../lab/need.ts';

const ipxe = '/usr/lib/ipxe/ipxe.lkrn';
const skip = skipUnless(needPrograms(['qemu-system-x86_64']), needFiles([ipxe]));
const limitMs = 500_000;

/** Lines of the serial console until one that matches `end`. */
async function boot(network: readonly string[], script: string, end: RegExp): Promise<string[]> {
  const lines: string[] = [];
  let ended = (): void => {};
  const seen = new Promise<void>((resolve) => {
    ended = resolve;
  });
  const machine = ['-M', 'pc', '-m', '256', '-nographic', '-no-reboot', '-kernel', ipxe, '-initrd', script];
  const qemu = start(['qemu-system-x86_64', ...machine, ...network], {
    deadlineMs: limitMs / 2 - 10_000,
    onLine: (line) => {
      lines.push(line.replace(/\x1b\[[0-9;?]*[A-Za-z]/g, ''));
      if (end.test(line)) ended();
    },
  });
  await Promise.race([seen, qemu.exited]);
  await qemu.stop();
  return lines;
}

test('the script of our iPXE', { skip, timeout: limitMs }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-ipxe-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const script = join(folder, 'boot.ipxe');
  copyFileSync(join(import.meta.dirname, '../../installer-nix/ipxe-boot.ipxe'), script);
  writeFileSync(join(folder, 'next.ipxe'), '#!ipxe\necho CHAINED $' + '{netX/ip}\nexit 1\n');
  const card = 'virtio-net-pci,netdev=n,romfile=';

  await t.test('goes on to what DHCP named, and back to the firmware', async () => {
    const network = ['-netdev', `user,id=n,ipv6=off,tftp=${folder},bootfile=next.ipxe`, '-device', card];
    const lines = await boot(network, script, /No bootable device|Booting from Hard Disk/);
    const chained = lines.findIndex((line) => /CHAINED 10\.0\.2\.15/.test(line));
    const back = lines.findIndex((line) => /Booting from Hard Disk/.test(line));
    assert.ok(chained >= 0 && back > chained, lines.join('\n'));
    assert.equal(lines.filter((line) => /CHAINED/.test(line)).length, 1, lines.join('\n'));
  });

  await t.test('gives up without a network', async () => {
    const lines = await boot(['-nic', 'none'], script, /Booting from Hard Disk/);
    assert.ok(
      lines.some((line) => /Booting from Hard Disk/.test(line)),
      lines.join('\n'),
    );
  });
});
