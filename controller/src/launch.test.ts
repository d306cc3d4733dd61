// Which of what preparations tell reaches a machine, over a real core.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Core } from './core/core.ts';
import { HostBook } from './core/hosts.ts';
import { Plans } from './core/plans.ts';
import type { Told } from './core/prepare.ts';
import type { BuiltPlan } from './core/task-world.ts';
import { Launch } from './launch.ts';
import type { Host } from './machine/host.ts';
import { patience } from './machine/life.ts';
import type { Mac } from './machine/mac.ts';
import type { Closure } from './nix/closure.ts';
import type { HostSystem, Installer } from './nix/types.ts';

const closure: Closure = { bytes: 1, sizes: new Map(), paths: new Map() };
const failure = (text: string) => ({ cause: 'build-failed', text, log: ['line'] }) as const;
const hostOf = (name: string, more: Partial<Host> = {}): Host =>
  ({ name, macs: [`52:54:00:00:00:0${name.at(-1)}` as Mac], system: 'x86_64-linux', boot: [], ...more }) as Host;
const planOf = (host: Host, out = `/nix/store/${host.name}`): BuiltPlan => ({
  host,
  system: { toplevel: { out, drv: `${out}.drv` } } as HostSystem,
  closure,
});

function scene(...hosts: Host[]) {
  const book = new HostBook(hosts);
  const said: string[] = [];
  const marks = new Map<string, string>();
  const taken: string[] = [];
  const plans = new Plans({ waits: () => () => {} });
  const core = new Core(
    {
      now: () => 0,
      ticks: () => 0,
      after: () => () => {},
      journal: { write: () => {}, close: () => {} },
      emit: () => {},
      run: async () => {},
      changed: () => {},
    },
    patience,
  );
  for (const { name } of hosts) core.add(name);
  const launch = new Launch({
    hosts: book,
    core,
    account: {
      notice: (_level, text, host) => void said.push(`${host}: ${text}`),
      keepLog: (host, lines) => void said.push(`${host} log ${lines.join()}`),
    },
    plans,
    marks: { get: (host) => marks.get(host) },
    takeInstaller: (_system, { commandLine }) => void taken.push(commandLine[0]!),
    unbootable: ({ host }) => (host.boot[0] === 'odd' ? 'a word that iPXE does not pass on' : undefined),
    built: () => void said.push('served'),
  });
  /** A preparation whose words come from the test. */
  const prepare = (of: readonly Host[] = hosts, signal = new AbortController().signal) => {
    const end = Promise.withResolvers<void>();
    let told: Told | undefined;
    const over = launch.prepare(
      of,
      (given) => {
        told = given;
        return end.promise;
      },
      signal,
    );
    over.catch(() => {});
    return { told: told!, over, end: end.resolve, fail: end.reject };
  };
  return {
    book,
    core,
    launch,
    plans,
    marks,
    said,
    taken,
    prepare,
    stage: (name: string) => core.life(name)?.stage,
  };
}

test('a machine begins before it is built; what is built is served, and its failure ends it with the reason and the log', () => {
  const [m1, m2] = [hostOf('m1'), hostOf('m2')];
  const { prepare, stage, plans, said, core } = scene(m1, m2);
  const { told } = prepare();
  const { closure: _, ...evaluated } = planOf(m1);
  told.begins(evaluated);
  told.begins({ host: m2, system: planOf(m2).system });
  assert.deepEqual([stage('m1'), stage('m2'), plans.built()], ['probing', 'probing', []]);
  told.built(planOf(m1));
  assert.deepEqual([plans.built().length, said], [1, ['served']]);
  told.failed(m2, failure('no compiler'));
  assert.deepEqual(
    [stage('m2'), core.life('m2')?.reason, plans.failed('m2')],
    ['failed', 'its build has failed: no compiler', true],
  );
  assert.equal(said.at(-1), 'm2 log line');
});

test('one that iPXE can not boot, or that failed before, is not begun, and not built for', () => {
  const [m1, m2] = [hostOf('m1', { boot: ['odd'] }), hostOf('m2')];
  const { prepare, stage, plans, core } = scene(m1, m2);
  const { told } = prepare();
  core.happened('m2', { kind: 'cancelled', reason: 'by the operator' });
  for (const host of [m1, m2]) {
    told.begins(planOf(host));
    told.built(planOf(host));
  }
  assert.deepEqual([stage('m1'), stage('m2'), plans.built()], ['failed', 'failed', []]);
});

test('a mark of this very system leads to its proof, and a failed build leaves that alone', () => {
  const m1 = hostOf('m1');
  const { prepare, stage, marks, said } = scene(m1);
  marks.set('m1', '/nix/store/m1');
  const { told } = prepare();
  told.begins(planOf(m1));
  assert.equal(stage('m1'), 'rebooting');
  told.failed(m1, failure('no compiler'));
  assert.equal(stage('m1'), 'rebooting');
  assert.deepEqual(said, ['m1: its build has failed: no compiler']);
});

test('what an earlier preparation says of a host that was changed, left, or begins anew counts no more', () => {
  const m1 = hostOf('m1');
  const { book, core, launch, prepare, stage, plans } = scene(m1);
  const first = prepare();
  first.told.begins(planOf(m1));
  // The same entry, once more: as the operator's retry does it.
  core.remove('m1');
  launch.forget('m1');
  core.add('m1');
  const second = prepare();
  first.told.built(planOf(m1, '/nix/store/old'));
  first.told.failed(m1, failure('old'));
  assert.deepEqual([stage('m1'), plans.get('m1')], ['planned', undefined]);
  second.told.begins(planOf(m1, '/nix/store/new'));
  second.told.built(planOf(m1, '/nix/store/new'));
  assert.equal(plans.built()[0]?.system.toplevel.out, '/nix/store/new');
  // Another entry of that name, which nobody has prepared yet.
  core.remove('m1');
  launch.forget('m1');
  core.add('m1');
  book.put(hostOf('m1', { wipe: true }));
  second.told.begins(planOf(m1));
  second.told.failed(m1, failure('old'));
  assert.equal(stage('m1'), 'planned');
});

test('a preparation that breaks off takes along those that are not built, and nobody else; before the first machine it is thrown', async () => {
  const [m1, m2, m3] = [hostOf('m1'), hostOf('m2'), hostOf('m3')];
  const { prepare, stage, core } = scene(m1, m2, m3);
  const { told, fail, over } = prepare();
  told.begins(planOf(m1));
  told.built(planOf(m1));
  told.begins({ host: m2, system: planOf(m2).system });
  fail(new Error('the flake is gone'));
  await over;
  assert.deepEqual([stage('m1'), stage('m2'), stage('m3')], ['probing', 'failed', 'failed']);
  assert.equal(core.life('m2')?.reason, 'its build has failed: the flake is gone');

  const other = scene(m1);
  const early = other.prepare();
  early.fail(new Error('no such flake'));
  await assert.rejects(early.over, /no such flake/);
  assert.equal(other.stage('m1'), 'planned');
});

test('after the signal nothing that is told counts', () => {
  const m1 = hostOf('m1');
  const { prepare, stage, taken } = scene(m1);
  const stop = new AbortController();
  const { told } = prepare([m1], stop.signal);
  stop.abort();
  told.installer('x86_64-linux', { commandLine: ['init'] } as unknown as Installer);
  told.begins(planOf(m1));
  told.failed(m1, failure('it was cancelled'));
  assert.deepEqual([stage('m1'), taken], ['planned', []]);
});

test('an installer that took longer to build than a newer one does not replace it', () => {
  const m1 = hostOf('m1');
  const { prepare, taken } = scene(m1);
  const installer = (name: string) => ({ commandLine: [name] }) as unknown as Installer;
  const [first, second] = [prepare(), prepare()];
  second.told.installer('x86_64-linux', installer('newer'));
  first.told.installer('x86_64-linux', installer('older'));
  first.told.installer('aarch64-linux', installer('another'));
  assert.deepEqual(taken, ['newer', 'another']);
});
