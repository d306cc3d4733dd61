import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { run } from './child.ts';

test('status, output and a missing program are values', async () => {
  assert.deepEqual(await run(['sh', '-c', 'echo out; echo err >&2; exit 3'], { deadlineMs: 60_000 }), {
    code: 3,
    stdout: 'out\n',
    stderr: 'err\n',
  });
  assert.equal((await run(['/nonexistent/program'], { deadlineMs: 60_000 })).why, 'ENOENT');
});

test('at the deadline the whole group ends, grandchildren that hold the output included', async () => {
  const began = performance.now();
  const { code, why, stdout } = await run(['sh', '-c', 'sleep 300 & echo $!; wait'], { deadlineMs: 100 });
  assert.deepEqual([code, why], [undefined, 'deadline']);
  assert.ok(performance.now() - began < 60_000, 'as long as its grandchild it did not take');
  const state = (): string => {
    try {
      return /^State:\s+(\S)/m.exec(readFileSync(`/proc/${stdout.trim()}/status`, 'utf8'))?.[1] ?? 'gone';
    } catch {
      return 'gone'; // reaped already
    }
  };
  // The signal is sent; the kernel may need a moment to carry it out.
  while (!['gone', 'Z'].includes(state())) {
    assert.ok(performance.now() - began < 90_000, `grandchild is in state ${state()}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
});
