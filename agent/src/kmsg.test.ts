import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import test from 'node:test';
import fc from 'fast-check';
import { realClock } from './host.ts';
import { followKernel, readKernelRecord } from './kmsg.ts';
import { LogQueue } from './log-queue.ts';

const now = { ticks: 0, unixMs: 0 };

test('records of the kernel documentation', () => {
  assert.deepEqual(readKernelRecord('7,160,424069,-;pci_root PNP0A03:00: host bridge window\n SUBSYSTEM=acpi\n'), {
    sequence: 160,
    monotonicMs: 424.069,
    severity: 7,
    text: 'pci_root PNP0A03:00: host bridge window',
  });
  assert.equal(readKernelRecord('30,339,5140900,c,caller=T1;NET: gr\\xc3\\xbcn\\x0a')?.text, 'NET: grün\n');
  assert.equal(readKernelRecord('30,339,5140900,-;x')?.severity, 6);
  for (const odd of ['', 'x', '6,1,2', '6,1,2;', '-1,1,1,-;x']) assert.equal(readKernelRecord(odd), undefined, odd);
});

test('no text makes it throw', () => {
  fc.assert(fc.property(fc.string(), (text) => void readKernelRecord(text)));
});

const readable = (() => {
  try {
    return existsSync('/dev/kmsg') && process.getuid?.() === 0;
  } catch {
    return false;
  }
})();

test('a full queue stops the reading, and each record comes once', {
  skip: !readable && 'no /dev/kmsg to read',
}, async (t) => {
  const queue = new LogQueue({ stream: 1n, mostLines: 40 });
  const stop = new AbortController();
  const failed = followKernel({ sink: queue, clock: realClock, signal: stop.signal }).then(
    () => undefined,
    (error: NodeJS.ErrnoException) => error,
  );
  const first = await Promise.race([failed, new Promise((resolve) => setImmediate(resolve))]);
  if (first instanceof Error) return t.skip(`/dev/kmsg: ${first.message}`);
  assert.ok(queue.length <= 31);
  stop.abort();
  await failed;
  const batch = queue.take(now);
  if (batch === undefined) return t.skip('the kernel has said nothing');
  queue.acknowledge(1n, BigInt(batch.lines.length));
  assert.match(queue.place!, /^kmsg \d+$/);
  const again = new LogQueue({ stream: 2n, mostLines: 40 });
  const soon = new AbortController();
  const second = followKernel({ sink: again, clock: realClock, signal: soon.signal, from: queue.place! });
  await new Promise((resolve) => setImmediate(resolve));
  soon.abort();
  await second;
  const next = again.take(now);
  if (next !== undefined) assert.notDeepEqual(next.lines[0], batch.lines[0]);
});
