import assert from 'node:assert/strict';
import test from 'node:test';
import { type Life, patience } from '../machine/life.ts';
import type { Stage } from '../machine/stage.ts';
import { Core } from './core.ts';
import { mostMoreMs, RelayPatience } from './relay-patience.ts';
import { type RelayLink, Relays } from './relays.ts';

const minute = 60_000;

/** A machine behind a relay under the real core, and a link that the test has. */
function lab() {
  let now = 0;
  const timers = new Set<{ at: number; call: () => void }>();
  const after = (ms: number, call: () => void) => {
    const timer = { at: now + ms, call };
    timers.add(timer);
    return () => void timers.delete(timer);
  };
  const ticks = () => now;
  const relays = new Relays({
    plan: () => undefined,
    firstVersion: 1n,
    ticks,
    after,
    onUp: () => {},
    onDown: () => {},
  });
  const waits: RelayPatience = new RelayPatience({ relays, ticks, life: (host): Life | undefined => core.life(host) });
  const core: Core = new Core(
    {
      now: ticks,
      ticks,
      after,
      journal: { write() {}, close() {} },
      emit() {},
      run: () => new Promise(() => {}),
      changed() {},
      overdue: (host, since) => waits.overdue(host, 'rack7', since),
    },
    patience,
  );
  core.add('m1');
  const link = { name: 'rack7', version: '', peer: '', interfaces: [] } as unknown as RelayLink;
  return {
    core,
    up: () => relays.up(link),
    down: () => relays.down('rack7', 'cut'),
    /** Passes that time; `each` is called every minute. */
    pass(ms: number, each: (at: number) => void = () => {}) {
      for (const end = now + ms; now < end; ) {
        const next = Math.min(end, Math.floor(now / minute + 1) * minute, ...[...timers].map(({ at }) => at));
        now = Math.max(now, next);
        for (const timer of [...timers]) if (timer.at <= now && timers.delete(timer)) timer.call();
        if (now % minute === 0) each(now);
      }
    },
    stage: (): Stage | undefined => core.life('m1')?.stage,
    reason: () => core.life('m1')?.reason ?? '',
    waking() {
      for (const kind of ['begin', 'found-nobody'] as const) core.happened('m1', { kind });
    },
  };
}

test('an uplink that comes and goes does not keep a stage for ever, and its end says so', () => {
  const { up, down, pass, stage, reason, waking } = lab();
  up();
  waking();
  let isUp = true;
  const flap = (at: number) => {
    if ((at / minute) % 5 !== 0) return;
    isUp ? down() : up();
    isUp = !isUp;
  };
  pass(patience.waking * 1000 + mostMoreMs - 1, flap);
  assert.equal(stage(), 'waking');
  pass(patience.waking * 1000, flap);
  assert.equal(stage(), 'failed');
  assert.match(
    reason(),
    /^the link of its relay rack7 comes and goes: lost 1[0-9] times in the 1[23]\d min by which waking has lasted/,
  );
});

test('each stage has its own respite, and one without a cut has none', () => {
  const { core, up, down, pass, stage, reason, waking } = lab();
  up();
  waking();
  const flap = () => {
    down();
    up();
  };
  pass(patience.waking * 1000 + mostMoreMs - minute, flap);
  assert.equal(stage(), 'waking');
  core.happened('m1', { kind: 'firmware-asked' });
  pass(mostMoreMs - 20 * minute, flap);
  assert.equal(stage(), 'firmware');
  pass(2 * patience.firmware * 1000);
  assert.equal(stage(), 'failed');
  assert.match(reason(), /^its firmware asked/);
});

test('one that is gone is waited for an hour, one that never came a quarter of it', () => {
  const gone = lab();
  gone.up();
  gone.waking();
  gone.pass(minute);
  gone.down();
  gone.pass(60 * minute);
  assert.equal(gone.stage(), 'waking');
  gone.pass(30 * minute);
  assert.match(gone.reason(), /rack7 has been gone for too long/);
  const never = lab();
  never.waking();
  never.pass(16 * minute);
  assert.match(never.reason(), /rack7 never connected/);
});

test('a host that nothing is known of is waited for all the same', () => {
  const relays = { view: () => ({ name: 'rack7', current: false, since: 0 }), cutSince: () => true };
  const waits = new RelayPatience({ relays, ticks: () => 1, life: () => undefined });
  assert.equal(waits.overdue('m1', 'rack7', 0), 'wait');
  waits.forget('m1');
});
