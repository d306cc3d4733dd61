// The core against random happenings, random tasks and a clock that jumps: what must hold in every story.
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { type Happening, offerIn, patience } from '../machine/life.ts';
import type { Mac } from '../machine/mac.ts';
import { isEnd, type Stage } from '../machine/stage.ts';
import { Core, type Task } from './core.ts';

const hosts = ['m1', 'm2'] as const;
type Host = (typeof hosts)[number];

const register = (boot: number): Happening => ({
  kind: 'agent-registered',
  mac: '52:54:00:00:00:01' as Mac,
  address: '10.0.0.9',
  sshHostKey: 'ssh-ed25519 A',
  bootId: `b${boot}`,
});
const happening: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 6, arbitrary: fc.nat(3).map(register) },
  {
    weight: 14,
    arbitrary: fc.constantFrom<Happening>(
      { kind: 'begin' },
      { kind: 'found-nobody' },
      { kind: 'firmware-asked' },
      { kind: 'script-fetched' },
      { kind: 'inspecting' },
      { kind: 'disks-free' },
      { kind: 'disko-ended' },
      { kind: 'install-began' },
      { kind: 'install-ended' },
      { kind: 'reboot-ordered' },
    ),
  },
  {
    weight: 5,
    arbitrary: fc.constantFrom<Happening>(
      { kind: 'reboot-marked' },
      { kind: 'found-proved', address: '10.0.0.9' },
      { kind: 'found-doubtful', reason: 'another key' },
      { kind: 'disks-refused', reason: 'data' },
      { kind: 'proof-given', address: '10.0.0.9', hostKey: 'ssh-ed25519 B' },
      { kind: 'proof-impossible', reason: 'no key', address: '10.0.0.9' },
      { kind: 'failed', reason: 'x' },
      { kind: 'stuck', reason: 'x' },
      { kind: 'cancelled', reason: 'x' },
      { kind: 'retry' },
    ),
  },
);

/** What a task does by itself: tells what its stage waits for, throws, ends in silence, or waits for the signal and lingers a little. */
type Conduct = 'tells' | 'throws' | 'ends' | 'waits' | 'lingers';
type Step =
  | { do: 'happen'; host: Host; happening: Happening }
  | { do: 'walk'; host: Host }
  | { do: 'pass'; seconds: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('happen' as const), host: fc.constantFrom(...hosts), happening }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('walk' as const), host: fc.constantFrom(...hosts) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('pass' as const), seconds: fc.nat(1000) }) },
);

/** The happening that leads on along the usual way. */
const onward: Readonly<Partial<Record<Stage, Happening>>> = {
  planned: { kind: 'begin' },
  probing: { kind: 'found-nobody' },
  waking: { kind: 'firmware-asked' },
  firmware: { kind: 'script-fetched' },
  loading: register(0),
  registered: { kind: 'inspecting' },
  preflight: { kind: 'disks-free' },
  disko: { kind: 'disko-ended' },
  copy: { kind: 'install-began' },
  install: { kind: 'install-ended' },
  restarting: register(1),
  rebooting: { kind: 'reboot-ordered' },
  proving: { kind: 'proof-given', address: '10.0.0.9', hostKey: 'ssh-ed25519 B' },
  failed: { kind: 'retry' },
};
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

test('whatever happens: one task a machine, no installer after the mark, disko only after free disks, an end for all', async () => {
  const reached = new Set<string>();
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 10, maxLength: 80 }),
      fc.array(fc.constantFrom<Conduct>('tells', 'throws', 'ends', 'waits', 'waits', 'waits', 'lingers'), {
        minLength: 1,
        maxLength: 30,
      }),
      async (steps, conducts) => {
        let now = 0;
        let started = 0;
        const alarms = new Set<{ at: number; call: () => void }>();
        const running = new Map<string, Task>();
        const lastMove = new Map<string, Happening['kind']>();
        const marked = new Set<string>();
        const problems: string[] = [];
        const world = {
          now: () => now,
          ticks: () => now,
          after(milliseconds: number, call: () => void) {
            const alarm = { at: now + milliseconds, call };
            alarms.add(alarm);
            return () => void alarms.delete(alarm);
          },
          journal: {
            write(entry: Record<string, unknown>) {
              const [host, stage] = [entry.host as string, entry.stage as Stage];
              lastMove.set(host, entry.happening as Happening['kind']);
              reached.add(stage);
              if (stage === 'rebooting') marked.add(host);
            },
            close() {},
          },
          emit() {},
          async run(task: Task, life: { host: string; stage: Stage }, signal: AbortSignal) {
            const { host } = life;
            if (running.has(host)) problems.push(`${task} began while ${running.get(host)} ran`);
            if (task === 'disko' && lastMove.get(host) !== 'disks-free')
              problems.push(`disko after ${lastMove.get(host)}`);
            running.set(host, task);
            try {
              const conduct = conducts[started++ % conducts.length]!;
              if (conduct === 'throws') throw new Error('it broke');
              const next = onward[life.stage];
              if (conduct === 'tells' && next !== undefined && next.kind !== 'retry') core.happened(host, next);
              if (conduct === 'waits' || conduct === 'lingers')
                await new Promise<void>((resolve) =>
                  signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve()),
                );
              if (conduct === 'lingers') for (let i = 0; i < 3; i++) await turn();
            } finally {
              running.delete(host);
            }
          },
          changed() {
            for (const life of core.lives())
              if (marked.has(life.host) && offerIn(life.stage) === 'installer')
                problems.push(`${life.host} is offered the installer as ${life.stage} after its reboot mark`);
          },
        };
        const core = new Core(world, patience);
        const pass = (seconds: number) => {
          now += seconds * 1000;
          for (const alarm of [...alarms]) if (alarm.at <= now && alarms.delete(alarm)) alarm.call();
        };
        for (const host of hosts) core.add(host);
        for (const each of steps) {
          if (each.do === 'pass') pass(each.seconds);
          else {
            const stage = core.life(each.host)!.stage;
            const what = each.do === 'happen' ? each.happening : onward[stage];
            if (what !== undefined) core.happened(each.host, what);
          }
          await turn();
        }
        // Everybody who has begun comes to an end by the clock alone.
        for (const host of hosts) core.happened(host, { kind: 'begin' });
        for (let i = 0; i < 20; i++) {
          pass(8000);
          await turn();
        }
        for (const life of core.lives()) if (!isEnd(life.stage)) problems.push(`${life.host} stays ${life.stage}`);
        assert.equal(
          core.ended,
          problems.every((problem) => !problem.includes(' stays ')),
        );
        const closing = core.close(60_000);
        for (let i = 0; i < 10; i++) await turn();
        await closing;
        if (running.size > 0) problems.push(`after close there still runs ${[...running.values()]}`);
        assert.equal(alarms.size, 0, 'no alarm is left');
        assert.equal(core.happened('m1', { kind: 'retry' }).moved, false);
        assert.deepEqual(problems, []);
      },
    ),
    { numRuns: 300 },
  );
  // The stories are worth something only when they get far.
  for (const stage of ['disko', 'rebooting', 'proving', 'proved', 'refused', 'failed'])
    assert.ok(reached.has(stage), stage);
});
