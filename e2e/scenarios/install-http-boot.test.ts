// UEFI HTTP Boot: the firmware fetches its loader by HTTP, TFTP is not used.
import assert from 'node:assert/strict';
import test from 'node:test';
import { readDhcpCapture } from '../lab/capture.ts';
import { skipUnless } from '../lab/need.ts';
import { assertProved, inScene, install, installLab, installLimitMs } from '../lab/scenario.ts';

test('a machine with UEFI HTTP Boot is installed and proved', {
  skip: skipUnless(...installLab),
  timeout: 2 * installLimitMs,
}, async () => {
  const machines = [{ name: 'machine1', firmware: 'http', bootOrder: 'disk-first' }] as const;
  await inScene({ machines, dhcp: 'none', ra: true }, async (scene) => {
    const { run, status } = await install(scene);
    assert.equal(status, 0, run.tail(20));
    await assertProved(scene, run, ['machine1']);
    const offers = readDhcpCapture(scene.lab.capture.file).filter(
      (packet) => packet.type === 'OFFER' && packet.vendorClass === 'HTTPClient',
    );
    assert.ok(offers.length > 0, 'the firmware asked as HTTPClient and was answered as one');
    assert.ok(offers.every((packet) => packet.file.startsWith('http://')));
  });
});
