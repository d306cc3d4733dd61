// Behind `nixie relay`, with no route between controller and machine and nothing forwarded: from the wake to the proof, all of it goes over the one
// connection that the relay made.
import assert from 'node:assert/strict';
import test from 'node:test';
import { readDhcpCapture } from '../lab/capture.ts';
import { run } from '../lab/child.ts';
import { runOnceMore } from '../lab/later-runs.ts';
import { needPrograms, skipUnless } from '../lab/need.ts';
import { lan, lan2 } from '../lab/net.ts';
import { siteSubnets } from '../lab/relay/site.ts';
import { assertFetched, assertProved, inScene, install, installLab, installLimitMs } from '../lab/scenario.ts';

test('behind nixie relay and without a route, a machine is woken, installed and proved', {
  skip: skipUnless(...installLab, needPrograms(['nft'])),
  timeout: 2 * installLimitMs,
}, async () => {
  const machines = [{ name: 'machine1', firmware: 'bios', bootOrder: 'disk-first' }] as const;
  const subnets = siteSubnets('rack7', true);
  await inScene({ machines, subnets, site: 'apart', dhcp: 'none', ra: true }, async (scene) => {
    const { lab } = scene;
    const site = lab.site!;
    await site.start();
    const { run: nixie, status } = await install(scene);
    assert.equal(status, 0, nixie.tail(20));
    await assertProved(scene, nixie, ['machine1']);
    assertFetched(nixie, 'machine1');

    const reach = await run(lab.net.inside(lab.net.srv, ['ping', '-c1', '-W1', `${lan2.prefix}.100`]), {
      accept: true,
    });
    assert.notEqual(reach.code, 0, 'there is no way around the relay');
    assert.ok(
      lab.bmc.packets.length > 0 && lab.bmc.packets.every(({ from }) => from === lan2.router),
      'woken by the relay',
    );
    const leases = readDhcpCapture(lab.capture.file).filter((packet) => packet.type === 'ACK');
    assert.ok(leases.length > 0 && leases.every((packet) => packet.serverId === lan2.router));
    assert.ok(!JSON.stringify(leases).includes(lan.nixie), 'machines never hear of the controller');
    const seen = nixie.events.filter((event) => event.event === 'seen');
    assert.ok(seen.length > 0);
    assert.deepEqual(
      seen.filter((event) => event.event === 'seen' && (event.relay !== 'rack7' || event.host !== 'machine1')),
      [],
      'all that is seen names relay and machine',
    );
    assert.deepEqual(
      nixie.events.flatMap((event) => (event.event === 'notice' && event.level !== 'info' ? [event.text] : [])),
      [],
      'nothing to warn of',
    );
    const again = await runOnceMore(lab, scene.supplies, scene.args);
    assert.ok(again.good, `${again.summary}\n${again.run.tail(30)}`);
  });
});
