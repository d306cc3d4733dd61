// On an isolated network, where Nixie is the DHCP server: BIOS and UEFI side by side.
import assert from 'node:assert/strict';
import test from 'node:test';
import { readDhcpCapture } from '../lab/capture.ts';
import { skipUnless } from '../lab/need.ts';
import { lan } from '../lab/net.ts';
import { assertProved, inScene, install, installLab, installLimitMs } from '../lab/scenario.ts';

test('as the only DHCP server, a BIOS and a UEFI machine are installed at once', {
  skip: skipUnless(...installLab),
  timeout: 2 * installLimitMs,
}, async () => {
  const machines = [
    { name: 'machine1', firmware: 'bios', bootOrder: 'disk-first' },
    { name: 'machine2', firmware: 'uefi', bootOrder: 'disk-first' },
  ] as const;
  await inScene({ machines, dhcp: 'none', ra: false }, async (scene) => {
    const { run, status } = await install(scene);
    assert.equal(status, 0, run.tail(20));
    await assertProved(scene, run, ['machine1', 'machine2']);
    const leases = readDhcpCapture(scene.lab.capture.file).filter((packet) => packet.type === 'ACK');
    assert.ok(leases.length > 0 && leases.every((packet) => packet.serverId === lan.nixie));
    for (const machine of Object.values(scene.lab.machines)) {
      const given = new Set(leases.filter((packet) => packet.mac === machine.spec.mac).map((packet) => packet.yiaddr));
      given.delete('0.0.0.0');
      assert.equal(given.size, 1, `one address for firmware, iPXE, installer and system: ${[...given].join(' ')}`);
    }
  });
});
