// The hosts file describes the disk, the layout names /dev/nixie/disk: on a machine with two disks the one that is meant is partitioned and boots, and
// where two fit nothing is.
import assert from 'node:assert/strict';
import test from 'node:test';
import { diskDigest } from '../lab/disk-digest.ts';
import { resultsOf } from '../lab/later-runs.ts';
import { skipUnless } from '../lab/need.ts';
import { assertProved, inScene, install, installLab, installLimitMs, stagesOf } from '../lab/scenario.ts';

test('of two disks the one that its hosts file describes is installed on; a tie is refused', {
  skip: skipUnless(...installLab),
  timeout: 2 * installLimitMs,
}, async () => {
  // /dev/vda is the other disk, which holds data.
  const machines = [
    { name: 'machine1', firmware: 'uefi', bootOrder: 'disk-first', secondDisk: 'first' },
    { name: 'machine2', firmware: 'bios', bootOrder: 'disk-first', secondDisk: 'first' },
  ] as const;
  const hostKeys = {
    machine1: { disk: { min_size: '4GB', max_size: '5GB' } },
    // QEMU's disks say that they rotate, both of them; the consent to lose data must not decide a tie.
    machine2: { disk: { rotational: true }, wipe: true },
  };
  const options = { machines, hostKeys, hinted: ['machine1', 'machine2'], dhcp: 'none', ra: true } as const;
  await inScene(options, async (scene) => {
    const [machine1, machine2] = machines.map(({ name }) => scene.lab.machines[name]!);
    const others = [machine1!.secondDisk, machine2!.secondDisk, machine2!.disk];
    const digests = () => Promise.all(others.map((image) => diskDigest(image)));
    const before = await digests();
    const blank = await diskDigest(machine1!.disk);
    const { run, status } = await install(scene);
    assert.notEqual(status, 0, 'one machine was refused');
    const refused = resultsOf(run).find(({ host }) => host === 'machine2');
    assert.equal(refused?.result, 'refused', run.tail(20));
    assert.match(
      refused.reason ?? '',
      /^"disk" \({"rotational":true}\) must mean one disk, and 2 of its disks fit: .*\/dev\/vda .* fits; .*\/dev\/vdb .* fits; say more, such as "serial": "/,
    );
    assert.ok(!stagesOf(run, 'machine2').includes('disko'));

    const ofFirst = run.events.filter((event) => !('host' in event) || event.host === 'machine1');
    await assertProved(scene, { ...run, events: ofFirst }, ['machine1']);
    assert.deepEqual(await digests(), before, 'nothing else was written to');
    assert.notEqual(await diskDigest(machine1!.disk), blank);
    const said = ofFirst.flatMap((event) => (event.event === 'log' ? event.text : []));
    assert.ok(
      said.some((line) => line.includes("the layout's disk is /dev/vdb")),
      'its agent made the link',
    );
  });
});
