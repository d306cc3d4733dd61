// Beyond a router whose relay (ISC dhcrelay) knows nothing of Nixie, in a declared subnet with a range: BIOS and UEFI side by side, woken by a
// directed broadcast. Nobody here sees their MACs; what is known of where they are, DHCP and the plan say.
import assert from 'node:assert/strict';
import test from 'node:test';
import { readDhcpCapture } from '../lab/capture.ts';
import { runOnceMore } from '../lab/later-runs.ts';
import { skipUnless } from '../lab/need.ts';
import { lan, lan2 } from '../lab/net.ts';
import { assertProved, inScene, install, installLab, installLimitMs, warningsOf } from '../lab/scenario.ts';

test('behind a foreign relay, a BIOS and a UEFI machine are installed at once', {
  skip: skipUnless(...installLab),
  timeout: 2 * installLimitMs,
}, async () => {
  const machines = [
    { name: 'machine1', firmware: 'bios', bootOrder: 'disk-first' },
    { name: 'machine2', firmware: 'uefi', bootOrder: 'disk-first' },
  ] as const;
  const cidr = `${lan2.prefix}.0/24`;
  const subnets = [{ cidr, range: `${lan2.prefix}.100-${lan2.prefix}.199` }];
  const hostKeys = { machine2: { subnet: cidr } };
  await inScene({ machines, hostKeys, subnets, beyond: true, dhcp: 'none', ra: true }, async (scene) => {
    const { run, status } = await install(scene);
    assert.equal(status, 0, run.tail(20));
    await assertProved(scene, run, ['machine1', 'machine2']);
    const { capture, bmc } = scene.lab;
    const leases = readDhcpCapture(capture.file).filter((packet) => packet.type === 'ACK');
    assert.ok(leases.length > 0 && leases.every((packet) => packet.serverId === lan.nixie));
    for (const { macs } of Object.values(scene.lab.machines)) {
      const given = new Set(leases.filter((packet) => packet.mac === macs[0]).map((packet) => packet.yiaddr));
      given.delete('0.0.0.0');
      assert.equal(given.size, 1, `one address for firmware, iPXE, installer and system: ${[...given].join(' ')}`);
      assert.ok([...given][0]!.startsWith(`${lan2.prefix}.1`));
    }
    assert.ok(
      bmc.packets.every(({ from }) => from === lan.nixie),
      'the magic packets came through the router',
    );
    const seen = run.events.filter((event) => event.event === 'seen' && event.kind === 'dhcp-answered');
    assert.ok(
      seen.some((event) => event.event === 'seen' && event.giaddr === lan2.router),
      'what is seen names the relay',
    );
    assert.deepEqual(warningsOf(run.events), [], 'nothing to warn of');
    const again = await runOnceMore(scene.lab, scene.supplies, scene.args);
    assert.ok(again.good, `${again.summary}\n${again.run.tail(30)}`);
  });
});
