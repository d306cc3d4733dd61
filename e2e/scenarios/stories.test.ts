// The stories of e2e/stories in the lab. The same are NixOS VM tests, with the image and the system that nixpkgs makes.
import assert from 'node:assert/strict';
import test from 'node:test';
import { diskDigest } from '../lab/disk-digest.ts';
import { resultsOf } from '../lab/later-runs.ts';
import { skipUnless } from '../lab/need.ts';
import { inScene, install, installLab, installLimitMs, stagesOf } from '../lab/scenario.ts';
import { readStories } from '../stories/story.ts';

const skip = skipUnless(...installLab);

for (const story of readStories())
  test(`${story.name}: ${story.about}`, { skip, timeout: (story.runs.length + 1) * installLimitMs }, async () => {
    const machines = story.machines.map((machine) => ({ ...machine, bootOrder: 'disk-first' as const }));
    const dhcp = story.dhcp === 'only' ? 'none' : 'foreign';
    await inScene({ machines, hostKeys: story.hosts, dhcp, ra: false }, async (scene) => {
      const all = Object.values(scene.lab.machines);
      const empty = new Map(
        await Promise.all(all.map(async ({ spec, disk }) => [spec.name, await diskDigest(disk)] as const)),
      );
      for (const told of story.runs) {
        const { run, status } = await install(scene);
        assert.equal(status, told.status, run.tail(20));
        assert.deepEqual(
          Object.fromEntries(resultsOf(run).map(({ host, result }) => [host, result])),
          told.results,
          run.tail(20),
        );
        for (const stage of told.passes ?? [])
          for (const { name } of story.machines)
            assert.ok(stagesOf(run, name).includes(stage), `${name} passed ${stage}: ${stagesOf(run, name).join(' ')}`);
        for (const name of told.blank ?? [])
          assert.equal(await diskDigest(scene.lab.machines[name]!.disk), empty.get(name), `the disk of ${name}`);
      }
    });
  });
