// What is told while a build goes on, and when: against a store and a clock that the test moves.
import assert from 'node:assert/strict';
import test from 'node:test';
import { build } from './build.ts';
import type { NixCall, NixResult, RunNix } from './command.ts';

const hash = '0gkv8wq1yz50vcf6y645p8117ai0rjsl';
const output = (name: string) => ({ drv: `/nix/store/${hash}-${name}.drv`, out: `/nix/store/${hash}-${name}` });
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** A build that the test moves: outputs appear, lines are said, time passes. */
function scene(wanted: Readonly<Record<string, readonly string[]>>) {
  const valid = new Set<string>();
  const calls: NixCall[] = [];
  const told: string[] = [];
  const alarms: { at: number; call: () => void }[] = [];
  const ends = Promise.withResolvers<NixResult>();
  let now = 0;
  let ids = 1;
  let over = 0;
  let rootable = true;
  let say: (line: string) => void = () => {};
  const done = { ended: 'exited', code: 0, stdout: '', stderr: '' } as const;
  const run: RunNix = async (call) => {
    calls.push(call);
    const paths = call.args.filter((arg) => arg.startsWith('/nix/store/'));
    if (call.args[0] === '--check-validity')
      return { ...done, stdout: paths.filter((path) => !valid.has(path)).join('\n') };
    if (call.args[0] === '--query') return { ...done, stdout: `${paths[0]}\n${output('m2').drv}\n` };
    if (call.args.includes('--add-root')) return rootable ? done : { ...done, code: 1, stderr: 'error: denied' };
    say = call.onLine!;
    return ends.promise;
  };
  const building = build({
    wanted: Object.fromEntries(Object.entries(wanted).map(([name, outputs]) => [name, outputs.map(output)])),
    run,
    nowMs: () => now,
    gcRootsDir: '/roots',
    onResult: (name, result) => told.push(`${name} ${result.ok ? 'ok' : result.failure.text}`),
    after(milliseconds, call) {
      const alarm = { at: now + milliseconds, call };
      alarms.push(alarm);
      return () => {
        const place = alarms.indexOf(alarm);
        if (place >= 0) alarms.splice(place, 1);
      };
    },
  });
  const pass = async (milliseconds: number) => {
    const until = now + milliseconds;
    for (;;) {
      const next = alarms.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      alarms.splice(alarms.indexOf(next), 1);
      now = Math.max(now, next.at);
      next.call();
      await turn();
    }
    now = until;
  };
  const line = (item: object) => say(`@nix ${JSON.stringify(item)}`);
  return {
    building,
    calls,
    told,
    alarms,
    pass,
    valid: (...names: string[]) => {
      for (const name of names) valid.add(output(name).out);
    },
    /** As nix tells it: of what was asked for itself the end is only counted. */
    built(name: string) {
      valid.add(output(name).out);
      if (over === 0) line({ action: 'start', id: 1, level: 0, type: 104, text: '' });
      line({ action: 'start', id: ++ids, level: 3, type: 105, text: '', fields: [output(name).drv, '', 1, 1] });
      line({ action: 'result', id: 1, type: 105, fields: [++over, 9, 1, 0] });
    },
    downloaded(name: string) {
      valid.add(output(name).out);
      line({
        action: 'start',
        id: ++ids,
        level: 3,
        type: 100,
        text: '',
        fields: [output(name).out, 'http://x', 'daemon'],
      });
      line({ action: 'stop', id: ids });
    },
    says: (text: string) => line({ action: 'msg', level: 0, msg: text }),
    end: (code: number) => ends.resolve({ ...done, code }),
    refuse: () => {
      rootable = false;
    },
    looks: () => calls.filter(({ args }) => args[0] === '--check-validity').length,
  };
}

test('each is told as soon as all of its outputs are there and kept; what is there before is told at once', async () => {
  const { building, told, calls, pass, valid, built, end, looks } = scene({
    installer: ['kernel', 'initrd'],
    m1: ['m1', 'disko'],
    m2: ['m2', 'disko'],
  });
  valid('kernel', 'initrd', 'disko');
  await pass(0);
  assert.deepEqual(told, ['installer ok']);
  const roots = calls.at(-1)!;
  assert.deepEqual([roots.as, roots.args.at(-1)], ['self', '/roots/built']);
  await pass(2000);
  built('something else');
  await pass(100);
  assert.equal(looks(), 1, 'what nobody waits for is no reason to ask');
  built('m2');
  await pass(100);
  assert.deepEqual(told, ['installer ok', 'm2 ok']);
  // What was kept stays behind the same links.
  const kept = calls.filter(({ args }) => args.includes('--add-root')).map(({ args }) => args.slice(1, -2));
  assert.deepEqual(kept[1]!.slice(0, kept[0]!.length), kept[0]);
  // The log may tell less.
  valid('m1');
  await pass(10_100);
  assert.deepEqual(told, ['installer ok', 'm2 ok', 'm1 ok']);
  end(0);
  const { results, warnings } = await building;
  assert.deepEqual(Object.values(results), [{ ok: true }, { ok: true }, { ok: true }]);
  assert.deepEqual(warnings, []);
  assert.equal(calls.filter(({ args }) => args.includes('--log-format')).length, 1, 'one build');
});

test('what is downloaded is told, too', async () => {
  const { building, told, pass, downloaded, end } = scene({ m1: ['m1'], m2: ['m2'] });
  await pass(2000);
  downloaded('m1');
  await pass(100);
  assert.deepEqual(told, ['m1 ok']);
  end(1);
  assert.equal((await building).results.m2?.ok, false);
});

test('when all is there nothing is asked twice', async () => {
  const { building, told, calls, alarms, pass, valid, end } = scene({ m1: ['m1'], m2: ['m2'] });
  valid('m1', 'm2');
  await pass(0);
  assert.deepEqual(told, ['m1 ok', 'm2 ok']);
  end(0);
  await building;
  assert.deepEqual(
    calls.map(({ args }) => (args.includes('--add-root') ? 'keep' : args[0])),
    ['--realise', '--check-validity', 'keep'],
  );
  assert.deepEqual(alarms, []);
});

test('a failed build is told while the others go on, once, and stays failed', async () => {
  const { building, told, pass, says, built, valid, end } = scene({ m1: ['m1'], m2: ['m2'] });
  await pass(1000);
  says(`error: builder for '${output('dep').drv}' failed with exit code 3`);
  await pass(1000);
  assert.equal(told.length, 1);
  assert.match(told[0]!, /^m2 builder for .*dep\.drv' failed with exit code 3, which m2 needs/);
  built('m1');
  valid('m2');
  await pass(20_000);
  assert.deepEqual(told.slice(1), ['m1 ok']);
  end(1);
  const { results } = await building;
  assert.deepEqual([results.m1?.ok, results.m2?.ok, told.length], [true, false, 2]);
});

test('an error that may not be the end of a build fails nobody before its end', async () => {
  const { building, told, pass, says, end } = scene({ m2: ['m2'] });
  await pass(1000);
  says(`error: cannot build '${output('dep').drv}' on 'ssh://builder': connection refused`);
  await pass(30_000);
  assert.deepEqual(told, []);
  end(1);
  assert.equal((await building).results.m2?.ok, false);
  assert.equal(told.length, 1);
});

test('what can not be kept is told at the end alone, with a warning', async () => {
  const { building, told, pass, valid, refuse, end } = scene({ m1: ['m1'] });
  refuse();
  valid('m1');
  await pass(30_000);
  assert.deepEqual(told, []);
  end(0);
  assert.match((await building).warnings.join(), /not kept from nix's garbage collection/);
  assert.deepEqual(told, ['m1 ok']);
});

test('many ends in a moment are one look, and looks leave nix its time', async () => {
  const names = Array.from({ length: 200 }, (_, i) => `m${i}`);
  const { building, told, pass, built, end, looks } = scene(Object.fromEntries(names.map((name) => [name, [name]])));
  await pass(0);
  for (const name of names) {
    built(name);
    await pass(5);
  }
  await pass(1000);
  assert.equal(told.length, 200);
  assert.ok(looks() <= 5, `${looks()} looks in two seconds`);
  end(0);
  await building;
});
