import assert from 'node:assert/strict';
import test from 'node:test';
import { Doors } from './doors.ts';

test('doors that are not open are asked all the same: nobody is there, and nobody is waited for', async () => {
  const doors = new Doors();
  await doors.setScene({} as Parameters<Doors['setScene']>[0]);
  doors.relaysMayChange();
  assert.equal(await doors.counters(), undefined);
  assert.equal(doors.hasSession('m1'), false);
  assert.equal(doors.silenceOf('barn'), undefined);
  assert.equal(doors.overdue('m1', 0), undefined);
});
