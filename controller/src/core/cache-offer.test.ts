import assert from 'node:assert/strict';
import test from 'node:test';
import type { RunEvent } from '../machine/event.ts';
import type { Life } from '../machine/life.ts';
import { CacheOffers, type Copied, checkUse, complains, offerCache } from './cache-offer.ts';
import type { Action, TaskWorld } from './task-world.ts';

const offer = { port: 7480, path: '/nix', publicKey: 'k' };
const life = { host: 'm1', bootId: 'b1' } as unknown as Life;

function play(instruct: () => Promise<{ ok: boolean; error: string }>) {
  const told: string[] = [];
  const given: Action[] = [];
  const unused: string[] = [];
  const world = {
    cache: new CacheOffers(offer),
    agents: {
      instruct: (_host: string, action: Action) => {
        given.push(action);
        return instruct();
      },
    },
    emit: (event: RunEvent) => void (event.event === 'notice' && told.push(event.text)),
    cacheUnused: (_host: string, why: string) => void unused.push(why),
    now: () => 0,
  } as unknown as TaskWorld;
  return { world, told, given, unused };
}

test('a boot that has taken the offer is not asked again; a later one is', async () => {
  const { world, told, given } = play(async () => ({ ok: true, error: '' }));
  await offerCache(world, life);
  await offerCache(world, life);
  await offerCache(world, { ...life, bootId: 'b2' });
  assert.deepEqual(given, [
    { $case: 'useCache', value: offer },
    { $case: 'useCache', value: offer },
  ]);
  assert.deepEqual(told, []);
});

test('an agent that is too old or fails costs one notice, and nothing is thrown', async () => {
  const ways = [
    async () => ({ ok: false, error: 'this agent does not know that instruction' }),
    () => Promise.reject(new Error('no answer within 10000 ms')),
  ];
  for (const way of ways) {
    const { world, told, unused } = play(way);
    await offerCache(world, life);
    await offerCache(world, life);
    assert.equal(told.length, 1);
    assert.match(told[0]!, /did not take the binary cache: (?:this agent|no answer).*The install goes on/);
    assert.equal(unused.length, 1);
    checkUse(world, life, { fetched: 0, pushed: 9 });
    assert.equal(told.length, 1, 'what it does not know it need not use');
  }
});

test('without a cache nothing is asked and nothing is told', async () => {
  const { world, given, told } = play(async () => ({ ok: true, error: '' }));
  const without = { ...world, cache: undefined } as unknown as TaskWorld;
  await offerCache(without, life);
  checkUse(without, life, { fetched: 0, pushed: 9 });
  assert.deepEqual([given, told], [[], []]);
});

test('a copy that was pushed all the same is told, with the first reason that nix gave', async () => {
  const { world, told, unused } = play(async () => ({ ok: true, error: '' }));
  await offerCache(world, life);
  checkUse(world, life, { fetched: 9, pushed: 0 });
  assert.deepEqual(told, []);
  const copied: Copied = { fetched: 2, pushed: 3 };
  for (const line of [
    "disabling binary cache 'http://10.0.0.1:7480/nix' for 60 seconds",
    "copying path '/nix/store/x' from 'http://10.0.0.1:7480/nix'...",
    "warning: the substitute for '/nix/store/y' from 'http://10.0.0.1:7480/nix' is not signed by any of the keys",
    "error: unable to download 'http://10.0.0.1:7480/nix/nar/x.nar': HTTP error 503",
  ])
    complains(copied, line);
  checkUse(world, life, copied);
  assert.equal(told.length, 1);
  assert.match(told[0]!, /^3 of 5 paths were pushed by ssh.*nix said: warning: the substitute for '\/nix\/store\/y'/);
  assert.deepEqual(unused.length, 1);
});
