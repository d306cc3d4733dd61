// Beside a foreign DHCP server: a UEFI machine that is off is installed and proved, then Nixie is run again in two ways.
import assert from 'node:assert/strict';
import test from 'node:test';
import { readDhcpCapture } from '../lab/capture.ts';
import { runForgetful, runOnceMore } from '../lab/later-runs.ts';
import { skipUnless } from '../lab/need.ts';
import { lan } from '../lab/net.ts';
import { assertProved, inScene, installLab, installLimitMs } from '../lab/scenario.ts';

test('beside a foreign DHCP server', { skip: skipUnless(...installLab), timeout: 4 * installLimitMs }, async (t) => {
  const machines = [
    { name: 'machine1', firmware: 'uefi', bootOrder: 'disk-first' },
    { name: 'stranger', firmware: 'bios', bootOrder: 'disk-first', memoryMiB: 256, diskMiB: 64 },
  ] as const;
  await inScene({ machines, hosts: ['machine1'], dhcp: 'foreign', ra: true }, async (scene) => {
    const { lab, supplies, args } = scene;
    const { machine1, stranger } = lab.machines;
    let installSeconds = 0;

    await t.test('a machine that is off is woken, installed and proved', async () => {
      assert.equal(machine1!.on, false);
      const began = performance.now();
      const run = lab.runNixie(args, { nix: supplies.nix, deadlineMs: installLimitMs });
      await run.waitEvent((event) => event.event === 'stage' && event.stage === 'waking', installLimitMs);
      stranger!.powerOn();
      assert.equal(await run.status(), 0, run.tail(20));
      installSeconds = (performance.now() - began) / 1000;
      await assertProved(scene, run, ['machine1']);

      const reboot = run.events.find((event) => event.event === 'stage' && event.stage === 'rebooting');
      const late = readDhcpCapture(lab.capture.file).filter(
        (packet) => packet.from === lan.nixie && packet.at * 1000 > Date.parse(reboot!.at),
      );
      assert.deepEqual(late, [], 'after the reboot mark nobody is offered anything');
    });

    await t.test('a machine on the LAN that is not in the hosts file gets nothing from Nixie', async () => {
      const packets = readDhcpCapture(lab.capture.file).filter((packet) => packet.mac === stranger!.spec.mac);
      assert.ok(
        packets.some((packet) => packet.type === 'DISCOVER'),
        'it asked',
      );
      assert.ok(
        packets.some((packet) => packet.type === 'OFFER' && packet.from === lan.foreignDhcp),
        'the LAN’s own server answered it',
      );
      assert.deepEqual(
        packets.filter((packet) => packet.from === lan.nixie || packet.serverId === lan.nixie),
        [],
      );
      await stranger!.powerOff();
    });

    await t.test('a second run skips the running machine and wipes nothing', async () => {
      await stranger!.powerOff();
      const boots = machine1!.boots;
      const again = await runOnceMore({ ...lab, machines: { machine1: machine1! } }, supplies, args);
      assert.ok(again.good, `${again.summary}\n${again.run.tail(30)}`);
      assert.equal(machine1!.boots, boots);
      // On a slow computer both take longer.
      assert.ok(
        again.seconds < Math.max(90, installSeconds),
        `it took ${again.seconds} s, an install ${installSeconds} s`,
      );
    });

    await t.test(
      'network first, machine off, state deleted, under the name of another host: the installer boots, refuses by name, and writes nothing',
      async () => {
        const before = machine1!.serial.length;
        lab.writeHosts(['web1'], { web1: { mac_address: machine1!.spec.mac, flake_attr: 'machine1' } });
        const forgetful = await runForgetful({ ...lab, machines: { machine1: machine1! } }, supplies, args);
        assert.ok(forgetful.good, `${forgetful.summary}\n${forgetful.run.tail(30)}`);
        assert.equal(forgetful.status, 1);
        assert.match(forgetful.results[0]!.reason ?? '', /holds the NixOS of "machine1", another host/);
        assert.ok(
          machine1!.serial.slice(before).some((line) => /NIXIE-STAGE userspace/.test(line.text)),
          'the installer was booted',
        );
      },
    );
  });
});
