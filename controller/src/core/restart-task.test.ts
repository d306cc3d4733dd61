import assert from 'node:assert/strict';
import test from 'node:test';
import type { RunEvent } from '../machine/event.ts';
import { type Happening, type Life, newLife } from '../machine/life.ts';
import { restart } from './restart-task.ts';
import type { AgentLink, Plan, TaskWorld } from './task-world.ts';

async function play(agents: Partial<AgentLink>, abort = new AbortController()) {
  const told: Happening[] = [];
  const events: RunEvent[] = [];
  const instructed: string[] = [];
  let woken = 0;
  const world = {
    agents: {
      connected: async () => {},
      instruct: async (_host: string, { $case }: { $case: string }) => {
        instructed.push($case);
        return { ok: true, error: '' };
      },
      ...agents,
    },
    tell: (_host: string, happening: Happening) => void told.push(happening),
    emit: (event: RunEvent) => void events.push(event),
    now: () => 0,
    wake: async () => ++woken,
  } as unknown as TaskWorld;
  const life: Life = { ...newLife('m1', 0), stage: 'restarting', reason: 'disko failed', bootId: 'b1' };
  await restart(world, { host: { macs: [] } } as unknown as Plan, life, abort.signal);
  return { told, events, instructed, woken };
}

test('its agent is told to reboot, and what comes next is the machine’s', async () => {
  const { told, instructed, woken } = await play({});
  assert.deepEqual([told, instructed, woken], [[], ['reboot'], 0]);
});

test('one whose agent is gone, or does not answer, is waited for', async () => {
  for (const agents of [
    { connected: () => Promise.reject(new Error('its agent opened no session')) },
    { instruct: () => Promise.reject(new Error('no answer within 10000 ms')) },
  ]) {
    const { told, events, woken } = await play(agents);
    assert.deepEqual([told, woken], [[], 1]);
    assert.match(JSON.stringify(events), /not told to boot afresh: .*(no session|no answer).*waited for/);
  }
});

test('one that can not reboot has failed, with both reasons', async () => {
  const { told } = await play({ instruct: async () => ({ id: '', ok: false, error: 'EPERM', inventory: undefined }) });
  assert.deepEqual(told, [
    { kind: 'failed', reason: 'disko failed; and its installer could not be booted afresh: EPERM' },
  ]);
});

test('called off in between, it says and wakes nothing', async () => {
  const abort = new AbortController();
  const connected = async () => {
    abort.abort();
    throw new Error('called off');
  };
  const { told, events, woken } = await play({ connected }, abort);
  assert.deepEqual([told, events, woken], [[], [], 0]);
});
