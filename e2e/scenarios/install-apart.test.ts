// Behind `nixie relay`, with no route between controller and machine and nothing forwarded: from the wake to the proof, all of it goes over the one
// connection that the relay made. Secrets of the machine pass the relay, and can't be found in anything that it had.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { readDhcpCapture } from '../lab/capture.ts';
import { type Child, run, start } from '../lab/child.ts';
import { resultsOf, runOnceMore } from '../lab/later-runs.ts';
import { filesWithMarks, makeMark, marksIn } from '../lab/marks.ts';
import { needPrograms, skipUnless } from '../lab/need.ts';
import { lan, lan2 } from '../lab/net.ts';
import { onMachine } from '../lab/proof.ts';
import { siteSubnets } from '../lab/relay/site.ts';
import {
  assertFetched,
  assertProved,
  inScene,
  install,
  installLab,
  installLimitMs,
  type Scene,
  warningsOf,
} from '../lab/scenario.ts';

/** All bytes on both of the relay's cards, from now on. */
async function tap({ lab }: Scene): Promise<{ files: readonly string[]; stop(): Promise<void> }> {
  const files: string[] = [];
  const children: Child[] = [];
  for (const card of ['lan1', 'lan2']) {
    const file = join(lab.folder, `${card}.pcap`);
    const ready = Promise.withResolvers<void>();
    const argv = ['tcpdump', '-i', card, '-n', '-s', '0', '-B', '65536', '-Z', 'root', '-w', file];
    const child = start(lab.net.inside(lab.net.rt!, argv), {
      deadlineMs: installLimitMs,
      onLine: (line) => {
        if (line.includes('listening on')) ready.resolve();
      },
    });
    child.exited.then(() => ready.reject(new Error('tcpdump ended')), ready.reject);
    await ready.promise;
    files.push(file);
    children.push(child);
  }
  return { files, stop: async () => void (await Promise.all(children.map((child) => child.stop(5000)))) };
}

/** A folder of sources of secrets, outside of the lab's. */
function sources(t: TestContext, marks: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-apart-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const [name, mark] of Object.entries(marks)) writeFileSync(join(folder, name), mark, { mode: 0o600 });
  return folder;
}

test('behind nixie relay and without a route, a machine is woken, installed and proved', {
  skip: skipUnless(...installLab, needPrograms(['nft'])),
  timeout: 2 * installLimitMs,
}, async (t) => {
  const marks = { key: makeMark('key'), file: makeMark('file') };
  const at = sources(t, marks);
  const secrets = {
    disk_keys: { '/tmp/marked.key': `file:${at}/key` },
    files: { '/etc/marked/file': `file:${at}/file` },
  };
  const machines = [{ name: 'machine1', firmware: 'bios', bootOrder: 'disk-first' }] as const;
  const subnets = siteSubnets('rack7', true);
  const hostKeys = { machine1: { secrets } };
  await inScene({ machines, subnets, hostKeys, site: 'apart', dhcp: 'none', ra: true }, async (scene) => {
    const { lab } = scene;
    const site = lab.site!;
    await site.start();
    const wires = await tap(scene);
    const { run: nixie, status } = await install(scene);
    assert.equal(status, 0, nixie.tail(20));
    await assertProved(scene, nixie, ['machine1']);
    assertFetched(nixie, 'machine1');
    await wires.stop();
    const address = resultsOf(nixie)[0]?.address ?? '';
    const where = { address, knownHosts: scene.knownHosts, name: 'machine1' };
    const arrived = await onMachine(lab, scene.supplies, where, 'cat /etc/marked/file');
    assert.equal(arrived.stdout.trim(), marks.file, 'the secret file is on the machine');
    assert.deepEqual(await filesWithMarks(wires.files, { script: 'boots the installer' }), wires.files.slice(1));
    assert.deepEqual(await filesWithMarks([...wires.files, site.stateFolder, site.tokenFile], marks), []);
    assert.deepEqual(marksIn(site.tail(10_000), marks), [], 'what the relay printed');

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
    assert.deepEqual(warningsOf(nixie.events), [], 'nothing to warn of');
    const again = await runOnceMore(lab, scene.supplies, scene.args);
    assert.ok(again.good, `${again.summary}\n${again.run.tail(30)}`);
  });
});
