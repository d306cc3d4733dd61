import assert from 'node:assert/strict';
import test from 'node:test';
import type { PhaseResult } from '../install/run.ts';
import { newLife } from '../machine/life.ts';
import { bootsAnew } from './boots-anew.ts';
import type { TaskWorld } from './task-world.ts';

const failed = (cause: string): PhaseResult =>
  ({ ok: false, cause, sentence: 'it failed', step: 'install', seconds: 1, tail: [] }) as unknown as PhaseResult;

async function play(result: PhaseResult, expects: boolean, registers = false) {
  const abort = new AbortController();
  const said: string[] = [];
  let slept = 0;
  const world = {
    expects: () => expects,
    now: () => 0,
    emit: (event: { text?: string }) => void said.push(event.text ?? ''),
    async sleep(milliseconds: number) {
      slept = milliseconds;
      if (registers) abort.abort();
    },
  } as unknown as TaskWorld;
  return { waited: await bootsAnew(world, newLife('m1', 0), abort.signal, result), slept, said };
}

test('another key of a machine that fetched its script once more: its agent takes over', async () => {
  const { waited, said } = await play(failed('other-machine'), true, true);
  assert.ok(waited);
  assert.match(said.join(), /^it failed; m1 fetched its boot script once more, .*waited for$/);
});

test('an agent that never comes is not waited for without end', async () => {
  const { waited, slept } = await play(failed('other-machine'), true);
  assert.deepEqual([waited, slept], [false, 120_000]);
});

test('another key of a machine that asked for nothing, and any other end, are what they are at once', async () => {
  for (const [result, expects] of [
    [failed('other-machine'), false],
    [failed('connection-lost'), true],
    [{ ok: true, seconds: 1, shows: 'finished', tail: [] } as PhaseResult, true],
  ] as const) {
    const { waited, slept, said } = await play(result, expects);
    assert.deepEqual([waited, slept, said], [false, 0, []]);
  }
});
