import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { notify } from './notify.ts';

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
