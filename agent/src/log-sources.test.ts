import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { realClock } from './host.ts';
import { LogQueue } from './log-queue.ts';
import { followMachine } from './log-sources.ts';

const now = { ticks: 0, unixMs: 0 };

function open(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-sources-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const placeFile = join(folder, 'state/log-place');
  /** One life of the agent: it ends when its source has ended and all that it said is acknowledged. */
  const live = async (more: { journalctl: string; kernelFile?: string }): Promise<string[]> => {
    const queue = new LogQueue({ stream: 1n });
    const stop = new AbortController();
    const said: string[] = [];
    const sleep = async () => {
      for (let batch = queue.take(now); batch !== undefined; batch = queue.take(now)) {
        said.push(...batch.lines.map(({ source, text }) => `${source}: ${text}`));
        queue.acknowledge(1n, batch.first + BigInt(batch.lines.length));
      }
      stop.abort();
    };
    await followMachine({ queue, clock: { ...realClock, sleep }, signal: stop.signal, placeFile, ownPid: 1, ...more });
    return said;
  };
  return { folder, placeFile, live };
}

test('a new life of the agent begins in the journal where all before was acknowledged', async (t) => {
  const { folder, placeFile, live } = open(t);
  const journalctl = join(folder, 'journalctl');
  writeFileSync(
    journalctl,
    '#!/bin/sh\necho \'{"MESSAGE":"\'"$*"\'","__CURSOR":"s=1;i=7","SYSLOG_IDENTIFIER":"x"}\'\n',
  );
  chmodSync(journalctl, 0o755);
  assert.match((await live({ journalctl }))[0]!, /^x: --follow .* -n 5000$/);
  assert.equal(readFileSync(placeFile, 'utf8'), 's=1;i=7');
  assert.equal(statSync(placeFile).mode & 0o777, 0o600);
  assert.match((await live({ journalctl }))[0]!, / --after-cursor=s=1;i=7 --no-tail$/);
});

test('where there is no journal the log of the kernel is read, and what was overwritten is counted', async (t) => {
  const { folder, placeFile, live } = open(t);
  const journalctl = join(folder, 'none');
  const kernelFile = join(folder, 'kmsg');
  writeFileSync(kernelFile, '6,339,5140900,-;NET: up\n SUBSYSTEM=net\n');
  assert.deepEqual(await live({ journalctl, kernelFile }), ['kernel: NET: up']);
  assert.equal(readFileSync(placeFile, 'utf8'), 'kmsg 339');
  assert.deepEqual(await live({ journalctl, kernelFile }), []);
  writeFileSync(kernelFile, '3,343,5140900,-;I/O error\n');
  assert.deepEqual(await live({ journalctl, kernelFile }), [
    'agent: 3 kernel lines were overwritten unread',
    'kernel: I/O error',
  ]);
  await assert.rejects(live({ journalctl, kernelFile: join(folder, 'no-kmsg') }), /ENOENT/);
});

test('a place that makes no sense is as good as none', async (t) => {
  const { folder, placeFile, live } = open(t);
  const kernelFile = join(folder, 'kmsg');
  writeFileSync(kernelFile, '6,339,5140900,-;up\n');
  await live({ journalctl: join(folder, 'none'), kernelFile });
  assert.ok(existsSync(placeFile));
  writeFileSync(placeFile, '\u0000'.repeat(600));
  assert.deepEqual(await live({ journalctl: join(folder, 'none'), kernelFile }), ['kernel: up']);
});
