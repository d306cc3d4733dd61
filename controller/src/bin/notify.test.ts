import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { notify, watchdog } from './notify.ts';

test('systemd is told of this process, and only when it listens; a failure is said', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-notify-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const words = join(folder, 'words');
  const program = (text: string) =>
    writeFileSync(join(folder, 'systemd-notify'), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  const env = { PATH: `${folder}:/usr/bin:/bin`, NOTIFY_SOCKET: '/run/n' };
  const failed = () => new Promise<string>((resolve) => notify(env, 'READY=1', resolve));
  program(`echo "$NOTIFY_SOCKET $*" > ${words}; exit 1`);
  notify({ PATH: env.PATH }, 'READY=1', () => assert.fail('nobody listens'));
  assert.match(await failed(), /^systemd-notify READY=1: Command failed/);
  assert.equal(readFileSync(words, 'utf8'), `/run/n --pid=${process.pid} READY=1\n`);
  env.PATH = '/nowhere';
  assert.match(await failed(), /^systemd-notify READY=1: .*ENOENT/);
});

test('systemd is told twice a period that this is alive, while DHCP and TFTP answer', async () => {
  const said: string[] = [];
  let tick = () => {};
  let ms = 0;
  let ended = false;
  const world = {
    env: { WATCHDOG_USEC: '120000000', WATCHDOG_PID: '7' },
    pid: 7,
    every(each: number, call: () => void) {
      ms = each;
      tick = call;
      return () => {
        ended = true;
      };
    },
    tell: (word: string) => void said.push(word),
    failed: (text: string) => void said.push(text),
  };
  let answer = Promise.withResolvers<void>();
  let asked = 0;
  const end = watchdog(() => {
    asked++;
    return answer.promise;
  }, world);
  assert.equal(ms, 60_000);
  tick();
  tick();
  assert.equal(asked, 1);
  assert.deepEqual(said, []);
  answer.resolve();
  await new Promise(setImmediate);
  assert.deepEqual(said, ['WATCHDOG=1']);
  answer = Promise.withResolvers<void>();
  tick();
  answer.reject(new Error('boot thread: no answer'));
  await new Promise(setImmediate);
  assert.deepEqual(said, ['WATCHDOG=1', 'systemd is not told that this is alive: boot thread: no answer']);
  end();
  assert.ok(ended);

  for (const env of [{}, { WATCHDOG_USEC: '120000000', WATCHDOG_PID: '8' }, { WATCHDOG_USEC: 'x' }])
    watchdog(() => assert.fail('asked'), { ...world, env, every: () => assert.fail('began') });
});
