// The boot stage on real firmware: kernel and initrd are small, busybox in them gets the agent from the image, the agent gets the rest, and both machines
// register. The two hand each other what they have.
import assert from 'node:assert/strict';
import test from 'node:test';
import { run } from '../lab/child.ts';
import { partSizes } from '../lab/image/part-sizes.ts';
import type { Lab } from '../lab/lab.ts';
import { skipUnless } from '../lab/need.ts';
import { inScene, installLab, installLimitMs } from '../lab/scenario.ts';

/** Kernel and initrd: all that each machine gets from its controller alone, by iPXE. Bytes. */
const mostBootBytes = 20e6;

test('a boot stage of less than 20 MB brings a BIOS and a UEFI machine to their registration', {
  skip: skipUnless(...installLab),
  timeout: 2 * installLimitMs,
}, async (t) => {
  const machines = [
    { name: 'machine1', firmware: 'bios', bootOrder: 'network-first' },
    { name: 'machine2', firmware: 'uefi', bootOrder: 'network-first' },
  ] as const;
  // Other disks than theirs are expected, so that nothing is copied once they have registered.
  const expect_disks = [{ serial: 'ANOTHER' }];
  const hostKeys = { machine1: { expect_disks }, machine2: { expect_disks } };
  await inScene({ machines, hostKeys, dhcp: 'none', ra: false, fleet: true }, async ({ lab, supplies, args }) => {
    const nixie = lab.runNixie(args, { nix: supplies.nix, deadlineMs: installLimitMs });
    const sentBefore = await sent(lab);
    for (const { name } of machines)
      await nixie.waitEvent(
        (event) => event.event === 'stage' && event.host === name && event.stage === 'registered',
        installLimitMs,
      );
    const sentBytes = (await sent(lab)) - sentBefore;

    const { kernel, initrd, image } = await partSizes(supplies.installer, supplies.inStore, supplies.onHost);
    const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
    t.diagnostic(`kernel ${megabytes(kernel)} MB, initrd ${megabytes(initrd)} MB, image ${megabytes(image)} MB`);
    t.diagnostic(`the controller sent ${megabytes(sentBytes)} MB to two machines until both had registered`);
    assert.ok(kernel + initrd <= mostBootBytes, `the boot stage has ${kernel + initrd} bytes`);
    assert.ok(sentBytes < 2 * (kernel + initrd) + 1.6 * image, `it sent ${sentBytes} bytes`);

    for (const { name } of machines) {
      const lines = lab.machines[name]!.serial.map(({ text }) => text);
      const place = (pattern: RegExp): number => lines.findIndex((text) => pattern.test(text));
      const way = [/nixie: first part of the installer is here/, /image of \d+ MB is whole after/, /NIXIE-STAGE image/];
      const places = way.map(place);
      assert.ok(!places.includes(-1), `${name}: ${places}`);
      assert.deepEqual(
        places,
        [...places].sort((a, b) => a - b),
        name,
      );
      t.diagnostic(`${name}: ${lines[places[1]!]}`);
      const loaded = nixie.events.flatMap((event) =>
        event.event === 'progress' && event.host === name && event.stage === 'loading' ? (event.done_bytes ?? 0) : [],
      );
      assert.ok(Math.max(...loaded) > image, `${name}: the image counts as loaded: ${Math.max(...loaded)}`);
    }
  });
});

async function sent({ net }: Lab): Promise<number> {
  return Number((await run(net.inside(net.srv, ['cat', '/sys/class/net/eth0/statistics/tx_bytes']))).stdout);
}
