import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { kernelError, lastErrors, readKernelErrors } from './kernel-errors.ts';
import { readMeasured } from './sensors.ts';

/** Reads these records one by one, as the kernel gives them. */
const from = (records: readonly (string | undefined)[]) => {
  const left = [...records];
  return (into: Buffer) => {
    if (left.length === 0) return 0;
    const record = left.shift();
    return record === undefined ? undefined : into.write(record);
  };
};

test('errors and worse are kept, what was overwritten and what is no record is passed over', async () => {
  const found = await lastErrors(
    from([
      '6,1,1000,-;all is well\n',
      '3,2,2500000,-;it broke\n',
      undefined,
      'x',
      '2,9,3000000,-;worse\n',
      '4,10,1,-;hm\n',
    ]),
  );
  assert.deepEqual(found.map(kernelError), [
    { uptimeMs: 2500n, severity: 3, text: 'it broke' },
    { uptimeMs: 3000n, severity: 2, text: 'worse' },
  ]);
  await assert.rejects(readKernelErrors('/nowhere/kmsg'), { code: 'ENOENT' });
});

test('a kernel that complains without end leaves its last 64 KiB', async () => {
  const many = Array.from({ length: 5000 }, (_, i) => `3,${i},${i}000,-;${i} ${'x'.repeat(3000)}\n`);
  const found = (await lastErrors(from(many))).map(kernelError);
  assert.equal(found.length, 64);
  assert.equal(found.at(-1)?.uptimeMs, 4999n);
  assert.ok(found.every(({ text }) => text.length === 1024));
});

test('the text of a driver is cleaned, and holds no token', () => {
  const text = `bad \x1b[31mcard\n nixie.token=${'ab'.repeat(16)}`;
  assert.doesNotMatch(kernelError({ monotonicMs: 0.4, severity: 3, text }).text, /abab|\x1b|\n/);
  fc.assert(
    fc.property(fc.string(), fc.double({ noNaN: true }), (odd, ms) => {
      const told = kernelError({ monotonicMs: Number.isFinite(ms) ? ms : 0, severity: 3, text: odd });
      assert.ok(told.text.length <= 1024 && told.uptimeMs >= 0n && told.text.isWellFormed());
    }),
  );
});

test('what no sensor can have measured is no measurement', () => {
  const rows: [kind: string, text: string | undefined, want: unknown][] = [
    ['temp', '41250', { temperatureMillicelsius: 41_250 }],
    ['temp', '-5000', { temperatureMillicelsius: -5000 }],
    ['temp', '127000', undefined],
    ['temp', '-128000', undefined],
    ['fan', '0', { fanRpm: 0 }],
    ['fan', '-1', undefined],
    ['in', '-12000', { voltageMillivolts: -12_000 }],
    ['in', '99999999999', undefined],
    ['power', '250000000000', { powerMicrowatts: 250_000_000_000n }],
    ['power', '-1', undefined],
    ['humidity', '40000', undefined],
    ['temp', 'unknown', undefined],
    ['temp', '4.1', undefined],
    ['temp', undefined, undefined],
  ];
  for (const [kind, text, want] of rows) assert.deepEqual(readMeasured(kind, text), want, `${kind} ${text}`);
});
