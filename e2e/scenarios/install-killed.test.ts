// Nixie is killed between its reboot mark and the proof: the next run with the same state goes on with the proof, and installs nothing again.
import assert from 'node:assert/strict';
import test from 'node:test';
import { resultsOf } from '../lab/later-runs.ts';
import { skipUnless } from '../lab/need.ts';
import { inScene, installLab, installLimitMs, stagesOf } from '../lab/scenario.ts';

test('a run that is killed before the reboot is ended by the next one with the same state', {
  skip: skipUnless(...installLab),
  timeout: 3 * installLimitMs,
}, async (t) => {
  const machines = [{ name: 'machine1', firmware: 'uefi', bootOrder: 'disk-first' }] as const;
  await inScene({ machines, dhcp: 'none', ra: false }, async (scene) => {
    const { lab, supplies, args } = scene;
    const { machine1 } = lab.machines;
    const options = { nix: supplies.nix, deadlineMs: installLimitMs };
    const first = lab.runNixie(args, options);
    await first.waitEvent((event) => event.event === 'stage' && event.stage === 'disko', installLimitMs);

    await t.test('meanwhile a second one on its state folder is refused', async () => {
      const second = lab.runNixie(args, options);
      assert.equal(await second.status(), 3, second.tail(10));
      assert.match(second.tail(10), /state folder .* is in use by a nixie that runs already \(process \d+\)/);
    });

    await first.waitEvent((event) => event.event === 'stage' && event.stage === 'rebooting', installLimitMs);
    first.signal('SIGKILL');
    assert.equal(await first.status(), -1);

    const next = lab.runNixie(args, options);
    assert.equal(await next.status(), 0, next.tail(30));
    assert.deepEqual(stagesOf(next, 'machine1'), ['rebooting', 'proving', 'proved']);
    assert.deepEqual(
      resultsOf(next).map(({ host, result }) => `${host} ${result}`),
      ['machine1 proved'],
    );
    assert.equal(machine1!.boots, 1, 'it was powered on once');
    const scripts = next.events.filter((event) => event.event === 'seen' && event.kind === 'http-file');
    assert.deepEqual(scripts, [], 'nobody was given an installer');
  });
});
