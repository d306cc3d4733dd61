import assert from 'node:assert/strict';
import test from 'node:test';
import { realClock } from './host.ts';
import { makePower, powerWays } from './power.ts';

test('systemd is asked where it runs; without it the kernel is told at once', () => {
  assert.deepEqual(powerWays('reboot', true), [
    ['systemctl', 'reboot'],
    ['reboot', '-f'],
    ['busybox', 'reboot', '-f'],
  ]);
  assert.deepEqual(powerWays('poweroff', false)[0], ['sync']);
  assert.ok(powerWays('poweroff', false).every((argv) => argv[0] !== 'systemctl'));
});

test('with a root of its own nothing is touched', async () => {
  const lines: string[] = [];
  const log = { info: (text: string) => void lines.push(text), loud: (text: string) => void lines.push(text) };
  await makePower(false, realClock, log).now('poweroff', 'because');
  assert.deepEqual(lines, ['poweroff: because', "poweroff: not done, this is not a machine's own root"]);
});
