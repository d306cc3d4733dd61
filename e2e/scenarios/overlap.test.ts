// Machines boot while their systems are built. The builds are held until the test lets them go, so it says who waits for what, not how fast this
// computer is.
import assert from 'node:assert/strict';
import test from 'node:test';
import { diskDigest } from '../lab/disk-digest.ts';
import { holdBuilds } from '../lab/held-builds.ts';
import { resultsOf } from '../lab/later-runs.ts';
import { skipUnless } from '../lab/need.ts';
import { inScene, installLab, installLimitMs, programsLeft, stagesOf } from '../lab/scenario.ts';

const machine1 = { name: 'machine1', firmware: 'uefi', bootOrder: 'disk-first' } as const;

test('one machine is proved while the systems of others are built; they boot meanwhile, and are written to only when it is done', {
  skip: skipUnless(...installLab),
  timeout: 2 * installLimitMs,
}, async (t) => {
  const names = ['machine1', 'machine2', 'machine3'];
  const machines = names.map((name) => ({ ...machine1, name }));
  await inScene({ machines, dhcp: 'foreign', ra: true }, async (scene) => {
    const { lab } = scene;
    const { machine2, machine3 } = lab.machines;
    const blank = await diskDigest(machine3!.disk);
    const builds = holdBuilds(scene, ['machine2', 'machine3']);
    const began = Date.now();
    const run = lab.runNixie(builds.args, { nix: builds.nix, deadlineMs: installLimitMs });
    const at = async (stage: string, host: string): Promise<number> => {
      const seen = (event: (typeof run.events)[number]): boolean =>
        event.event === 'stage' && event.host === host && event.stage === stage;
      return Date.parse((await run.waitEvent(seen, installLimitMs)).at);
    };
    const waits = (host: string) =>
      run.waitEvent(
        (event) => event.event === 'notice' && event.host === host && /waits for its build$/.test(event.text),
        installLimitMs,
      );

    const [registered] = await Promise.all([at('registered', 'machine2'), waits('machine2'), waits('machine3')]);
    const first = await run.waitEvent((event) => event.event === 'result', installLimitMs);
    assert.deepEqual([first.event === 'result' && first.result, 'host' in first && first.host], ['proved', 'machine1']);
    const status = lab.runNixie(['status', '--json'], { nix: (argv) => ({ argv, env: {} }), deadlineMs: 30_000 });
    assert.equal(await status.status(), 0, status.tail(10));
    const told = status.lines.flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []));
    assert.deepEqual(
      names.map((name) => {
        const { stage, waits_for } = told.find(({ host }) => host === name);
        return [stage, waits_for];
      }),
      [
        ['proved', undefined],
        ['registered', 'its build'],
        ['registered', 'its build'],
      ],
    );
    assert.deepEqual([builds.doneAt('machine2'), builds.doneAt('machine3')], [undefined, undefined]);

    builds.release('machine3', 'fails');
    await at('failed', 'machine3');
    await machine3!.waitOff(installLimitMs);
    builds.release('machine2', 'builds');
    const disko = await at('disko', 'machine2');
    const built = builds.doneAt('machine2')!;
    assert.equal(await run.status(), 1, run.tail(20));
    assert.deepEqual(
      resultsOf(run)
        .map(({ host, result }) => `${host} ${result}`)
        .sort(),
      ['machine1 proved', 'machine2 proved', 'machine3 failed'],
    );
    const failed = resultsOf(run).find(({ host }) => host === 'machine3');
    assert.match(failed?.reason ?? '', /slow-machine3\.drv' failed with exit code 3, which disko-machine3 needs/);
    assert.ok(failed?.log?.some((line) => /the compiler found a mistake/.test(JSON.stringify(line))));
    assert.ok(!stagesOf(run, 'machine3').includes('disko'));
    assert.equal(await diskDigest(machine3!.disk), blank, 'nothing was written to it');
    assert.deepEqual([machine2!.boots, machine3!.boots], [1, 1]);

    // Boot and build side by side: what comes after the build is no boot any more.
    const boot = registered - (await at('waking', 'machine2'));
    assert.ok(disko >= built, 'its disk was written before its build was done');
    assert.ok(disko - built < boot, `${disko - built} ms from its build to its disk, and it boots in ${boot} ms`);
    const calls = builds.calls();
    const evaluations = calls.filter((call) => /^nix (?:.* )?eval /.test(call));
    const realised = calls.filter((call) => /^nix-store --realise .*--log-format/.test(call));
    assert.deepEqual([evaluations.length, realised.length], [1, 1], calls.join('\n'));
    assert.deepEqual(await programsLeft(lab.net.srv), [], 'nothing of nixie runs on');
    const seconds = (ms: number): string => (ms / 1000).toFixed(1);
    t.diagnostic(
      `machine2 booted in ${seconds(boot)} s, was built after ${seconds(built - began)} s, and its disko began ${seconds(disko - built)} s later`,
    );
  });
});
