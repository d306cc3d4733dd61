import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { build } from './build.ts';
import type { NixCall, NixResult, RunNix } from './command.ts';

const hash = '0gkv8wq1yz50vcf6y645p8117ai0rjsl';
const output = (name: string) => ({ drv: `/nix/store/${hash}-${name}.drv`, out: `/nix/store/${hash}-${name}` });
const recorded = readFileSync(new URL('fixtures/build-2.26.log', import.meta.url), 'utf8').split('\n');
const topFails = {
  drv: /\/nix\/store\/[a-z0-9]+-top-fails\.drv/.exec(recorded.join('\n'))![0],
  out: `/nix/store/${hash}-top-fails`,
};

interface Fake {
  readonly realise?: Partial<NixResult>;
  readonly lines?: readonly string[];
  readonly missing?: readonly string[];
  readonly dependants?: readonly string[];
}

function fakeStore(fake: Fake): { run: RunNix; calls: NixCall[] } {
  const calls: NixCall[] = [];
  const run: RunNix = async (call) => {
    calls.push(call);
    const done = { ended: 'exited', code: 0, stdout: '', stderr: '' } as const;
    if (call.args[0] === '--check-validity')
      return { ...done, stdout: (fake.missing ?? []).map((path) => `${path}\n`).join('') };
    if (call.args[0] === '--query') return { ...done, stdout: (fake.dependants ?? []).join('\n') };
    for (const line of fake.lines ?? []) call.onLine?.(line);
    return { ...done, ...fake.realise };
  };
  return { run, calls };
}

test('what several need is asked for once', async () => {
  const store = fakeStore({});
  const wanted = Object.fromEntries(
    Array.from({ length: 10 }, (_, i) => [`m${i}`, [output('system'), output('disko')]]),
  );
  const { results, warnings } = await build({ wanted, run: store.run, nowMs: () => 0, gcRootsDir: '/state/roots' });
  assert.equal(Object.values(results).filter((one) => one.ok).length, 10);
  assert.deepEqual(warnings, []);
  assert.deepEqual(store.calls[0]!.args.slice(5), [output('system').drv, output('disko').drv]);
  assert.ok(store.calls[0]!.args.includes('--keep-going'));
  const root = store.calls.at(-1)!;
  assert.equal(root.as, 'self');
  assert.deepEqual(root.args, [
    '--realise',
    output('system').out,
    output('disko').out,
    '--add-root',
    '/state/roots/built',
  ]);
});

test('a failed build takes along only those that need it, with its own text and log', async () => {
  const store = fakeStore({
    lines: recorded,
    realise: { code: 100 },
    missing: [topFails.out],
    dependants: [topFails.drv],
  });
  const { results } = await build({
    wanted: { good: [output('m1')], bad: [output('m1'), topFails] },
    run: store.run,
    nowMs: () => 0,
  });
  assert.deepEqual(results.good, { ok: true });
  const { bad } = results;
  assert.ok(bad && !bad.ok);
  assert.equal(bad.failure.cause, 'build-failed');
  assert.match(bad.failure.text, /dep-bad\.drv' failed with exit code 3, which top-fails needs/);
  assert.match(bad.failure.drv ?? '', /dep-bad\.drv$/);
  assert.deepEqual(bad.failure.log, ['line one', 'no compiler here']);
});

test('an output that is missing after success is a failure, and so is a store that does not answer', async () => {
  const lying = fakeStore({ missing: [output('m1').out] });
  const first = (await build({ wanted: { m1: [output('m1')] }, run: lying.run, nowMs: () => 0 })).results.m1;
  assert.ok(first && !first.ok);
  assert.equal(first.failure.text, 'm1 was not built');
  const silent: RunNix = async () => ({ ended: 'missing', stdout: '', stderr: '' });
  const second = (await build({ wanted: { m1: [output('m1')] }, run: silent, nowMs: () => 0 })).results.m1;
  assert.ok(second && !second.ok);
  assert.equal(second.failure.cause, 'missing-program');
});

test('roots that cannot be made are a warning', async () => {
  const { run } = fakeStore({});
  const refusing: RunNix = async (call) =>
    call.args.includes('--add-root')
      ? { ended: 'exited', code: 1, stdout: '', stderr: 'error: Permission denied' }
      : run(call);
  const built = await build({ wanted: { m1: [output('m1')] }, run: refusing, nowMs: () => 0, gcRootsDir: '/x' });
  assert.deepEqual(built.results.m1, { ok: true });
  assert.match(built.warnings.join(), /garbage collection: Permission denied/);
});

test('nothing wanted is nothing done', async () => {
  const store = fakeStore({});
  assert.deepEqual((await build({ wanted: { m1: [] }, run: store.run, nowMs: () => 0 })).results, { m1: { ok: true } });
  assert.equal(store.calls.length, 0);
});
