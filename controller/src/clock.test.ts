import assert from 'node:assert/strict';
import test from 'node:test';
import { after } from './clock.ts';

test('a time that has passed is called back for, and Node warns of nothing', async () => {
  const warned: string[] = [];
  const onWarning = ({ name }: Error): void => void warned.push(name);
  process.on('warning', onWarning);
  try {
    await new Promise<void>((resolve) => after(-0.3, resolve));
    await new Promise(setImmediate);
    assert.deepEqual(warned, []);
  } finally {
    process.off('warning', onWarning);
  }
});
