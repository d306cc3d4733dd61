// On an isolated network, where Nixie is the DHCP server: BIOS and UEFI side by side, the latter with two network cards. Their installer comes in two
// parts: a boot stage that is small, in which busybox gets the agent from the image, and the rest of that, from the controller or from the other.
import assert from 'node:assert/strict';
import test from 'node:test';
import { readDhcpCapture } from '../lab/capture.ts';
import { partSizes } from '../lab/image/part-sizes.ts';
import { skipUnless } from '../lab/need.ts';
import { lan } from '../lab/net.ts';
import { assertFetched, assertProved, inScene, install, installLab, installLimitMs } from '../lab/scenario.ts';

/** Kernel and initrd: all that each machine gets from its controller alone, by iPXE. */
const mostBootBytes = 20e6;
const second = '52:54:00:77:02:02';

test('as the only DHCP server, a BIOS and a UEFI machine are installed at once', {
  skip: skipUnless(...installLab),
  timeout: 2 * installLimitMs,
}, async (t) => {
  const machines = [
    { name: 'machine1', firmware: 'bios', bootOrder: 'disk-first' },
    { name: 'machine2', firmware: 'uefi', bootOrder: 'disk-first', secondCard: { mac: second, asksFirst: true } },
  ] as const;
  const hostKeys = { machine2: { mac_addresses: [second] } };
  await inScene({ machines, hostKeys, dhcp: 'none', ra: false, fleet: true }, async (scene) => {
    const { run, status } = await install(scene);
    assert.equal(status, 0, run.tail(20));
    await assertProved(scene, run, ['machine1', 'machine2']);
    const { kernel, initrd, image } = await partSizes(
      scene.supplies.installer,
      scene.supplies.inStore,
      scene.supplies.onHost,
    );
    t.diagnostic(`kernel ${kernel} bytes, initrd ${initrd}, image ${image}`);
    assert.ok(kernel + initrd <= mostBootBytes, `the boot stage has ${kernel + initrd} bytes`);
    for (const host of ['machine1', 'machine2']) {
      assertFetched(run, host);
      const lines = scene.lab.machines[host]!.serial.map(({ text }) => text);
      const way = [/first part of the installer is here/, /image of \d+ MB is whole after/, /NIXIE-STAGE image/].map(
        (pattern) => lines.findIndex((text) => pattern.test(text)),
      );
      assert.ok(!way.includes(-1), `${host} fetched the image of its installer, its first part before: ${way}`);
      assert.ok(way[0]! < way[1]! && way[1]! < way[2]!, `${host}: ${way}`);
      const sent = run.events.flatMap((event) =>
        event.event === 'progress' && event.host === host && event.stage === 'loading' ? (event.done_bytes ?? 0) : [],
      );
      assert.ok(Math.max(...sent) > image, `the image counts as loaded: ${Math.max(...sent)}`);
    }
    const leases = readDhcpCapture(scene.lab.capture.file).filter((packet) => packet.type === 'ACK');
    assert.ok(leases.length > 0 && leases.every((packet) => packet.serverId === lan.nixie));
    for (const mac of Object.values(scene.lab.machines).flatMap(({ macs }) => macs)) {
      const given = new Set(leases.filter((packet) => packet.mac === mac).map((packet) => packet.yiaddr));
      given.delete('0.0.0.0');
      assert.equal(given.size, 1, `one address for firmware, iPXE, installer and system: ${[...given].join(' ')}`);
    }
    const scripts = run.events.flatMap((event) =>
      event.event === 'seen' && event.kind === 'http-script' ? event : [],
    );
    // Who waits too long for a packet asks for its script again.
    assert.deepEqual(
      [...new Set(scripts.map(({ mac }) => mac))].sort(),
      [scene.lab.machines.machine1!.spec.mac, second],
      'nobody else got one; the machine with two cards booted by the second',
    );
  });
});
