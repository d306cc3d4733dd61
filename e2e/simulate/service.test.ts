// A service that is started anew while its machines are off: what it has installed by `"wipe": true` is not installed once more.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Host } from '../../controller/src/machine/host.ts';
import { parseMac } from '../../controller/src/machine/mac.ts';
import type { Stage } from '../../controller/src/machine/stage.ts';
import { Clock } from './clock.ts';
import { ControllerLife, type Kept } from './controller.ts';
import { Disk } from './disk.ts';
import { Fate } from './faults.ts';
import { emptyState } from './kept.ts';
import { Machine } from './machine.ts';
import { Network } from './network.ts';
import { declaredDisk } from './nix.ts';
import { Random } from './random.ts';
import { Witness } from './witness.ts';

const hour = 3_600_000;

/** Machines that boot from the network first and such that boot from their disk first, all with consent; those of the last ten hold data. */
function rack(count: number) {
  const random = new Random(`service ${count}`);
  const clock = new Clock();
  const witness = new Witness(() => clock.ticks);
  const network = new Network({ clock, witness, random: random.child('network'), loss: 0, mode: 'range' });
  const kept = emptyState(random);
  const hosts = Array.from({ length: count }, (_, index): Host => {
    const mac = parseMac(`52:54:00:00:00:${index.toString(16).padStart(2, '0')}`)!;
    const name = `m${index}`;
    const host: Host = {
      name,
      flakeAttr: 'web',
      macs: [mac],
      system: 'x86_64-linux',
      tags: [],
      boot: [],
      expectDisks: [],
      wipe: true,
    };
    network.add(
      new Machine({
        host,
        firmware: 'uefi',
        networkFirst: index % 2 === 0,
        disk: new Disk(
          { kind: index % 2 === 0 && index >= count - 10 ? 'foreign' : 'blank' },
          { path: declaredDisk, serial: `S${index}`, sizeBytes: 512_110_190_592, unreadable: false, removable: false },
        ),
        fate: new Fate([], () => {}),
        random: random.child(name),
        network,
        declaredDisk,
        mayLoseData: true,
      }),
    );
    return host;
  });
  let lives = 0;
  /** One life of the service over these hosts: until every machine has ended. */
  const serve = async (wanted: readonly Host[] = hosts, state: Kept = kept) => {
    const ends = new Map<string, { stage: Stage; reason: string }>();
    const before = network.machines.reduce((sum, { disk }) => sum + disk.writes, 0);
    const life = new ControllerLife({
      number: ++lives,
      kept: state,
      hosts: wanted,
      reinstall: new Set(),
      endless: true,
      network,
      random: random.child(`life ${lives}`),
      jobs: 8,
      onEnd: (host, stage) => void ends.set(host, { stage, reason: life.core.life(host)?.reason ?? '' }),
    });
    network.controller = life;
    void life.live();
    await clock.run(() => life.over || witness.broken !== undefined, clock.ticks + 12 * hour);
    network.controller = undefined;
    life.kill();
    const writes = network.machines.reduce((sum, { disk }) => sum + disk.writes, 0) - before;
    return {
      ends,
      writes,
      stages: (even: boolean) => [...ends].filter(([name]) => (Number(name.slice(1)) % 2 === 0) === even),
    };
  };
  const allOff = async () => {
    for (const machine of network.machines) machine.off();
    await clock.run(() => false, clock.ticks + 60_000);
  };
  return { hosts, kept, witness, serve, allOff };
}

test('once installed, machines that are off while the service is started anew are left as they are', async () => {
  const { hosts, kept, witness, serve, allOff } = rack(40);
  const first = await serve();
  assert.equal(witness.broken, undefined, JSON.stringify(witness.broken));
  assert.deepEqual([...new Set([...first.ends.values()].map(({ stage }) => stage))], ['proved']);
  for (const round of [2, 3]) {
    await allOff();
    const again = await serve();
    assert.equal(witness.broken, undefined, `round ${round}: ${JSON.stringify(witness.broken)}`);
    assert.equal(again.writes, 0);
    assert.equal(again.ends.size, 40);
    // Those that boot from their disk first are found there; the others are asked what is on their disks.
    for (const [name, { stage }] of again.stages(false)) assert.equal(stage, 'skipped', name);
    for (const [name, { stage, reason }] of again.stages(true)) {
      assert.equal(stage, 'refused', name);
      assert.match(reason, new RegExp(`an install has used the consent up: nixie retry ${name}`));
    }
  }
  // Taken out, and put in again: now the operator means it. Life 4 sees it taken out.
  await allOff();
  await serve(hosts.map((host) => ({ ...host, wipe: false })));
  assert.deepEqual(
    hosts.filter(({ name }) => kept.consents.get(name) !== undefined),
    [],
  );
});

test('all machines that stay up are skipped by a service that is started anew', async () => {
  const { witness, serve } = rack(20);
  await serve();
  const again = await serve();
  assert.equal(witness.broken, undefined, JSON.stringify(witness.broken));
  assert.deepEqual([again.writes, [...new Set([...again.ends.values()].map(({ stage }) => stage))]], [0, ['skipped']]);
});
