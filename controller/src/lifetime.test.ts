import assert from 'node:assert/strict';
import test from 'node:test';
import { Lifetime } from './lifetime.ts';

test('what was opened last is closed first, and what can not be closed keeps nobody open', async () => {
  const life = new Lifetime(new AbortController().signal, 5);
  const closed: string[] = [];
  life.opened(() => closed.push('state'));
  life.opened(() => {
    closed.push('doors');
    throw new Error('in use');
  });
  life.opened(() => {
    closed.push('child');
    return new Promise(() => {});
  });
  life.opened(async () => closed.push('operator'));
  await life.close();
  assert.deepEqual(closed, ['operator', 'child', 'doors', 'state']);
  await life.close();
  assert.equal(closed.length, 4, 'each is closed once');
});

test('a wait ends with what is waited for, and with the signal, also one that came before', async () => {
  const abort = new AbortController();
  const life = new Lifetime(abort.signal);
  await life.until(Promise.resolve());
  await assert.rejects(life.until(Promise.reject(new Error('the flake'))), /the flake/);
  const waits = [life.until(), life.until(new Promise(() => {})), life.stopped];
  abort.abort();
  await Promise.all(waits);
  await life.until();
  await new Lifetime(abort.signal).stopped;
});

test('a part that broke is told to who waits then and later', async () => {
  const life = new Lifetime(new AbortController().signal);
  const waits = life.until();
  life.broke(new Error('DHCP: its thread has ended'));
  await assert.rejects(waits, /its thread/);
  life.broke(new Error('and TFTP'));
  await assert.rejects(life.until(new Promise(() => {})), /its thread/);
});
