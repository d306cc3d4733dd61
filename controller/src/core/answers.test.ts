import assert from 'node:assert/strict';
import test from 'node:test';
import { Answers } from './answers.ts';

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

test('many changes are few sends, and the newest is the last', async () => {
  let decided = 0;
  const sent: number[] = [];
  const open: (() => void)[] = [];
  const answers = new Answers(
    () => decided,
    (scene) => {
      sent.push(scene);
      return new Promise((resolve) => void open.push(resolve));
    },
    () => assert.fail(),
  );
  await answers.current();
  for (decided = 1; decided <= 100; decided++) answers.changed();
  decided = 100;
  let reached = false;
  const current = answers.current().then(() => {
    reached = true;
  });
  await turn();
  assert.deepEqual(sent, [100]);
  for (decided = 101; decided <= 200; decided++) answers.changed();
  decided = 200;
  open.shift()!();
  await current;
  assert.equal(reached, true);
  await turn();
  assert.deepEqual(sent, [100, 200]);
  let last = false;
  void answers.current().then(() => {
    last = true;
  });
  await turn();
  assert.equal(last, false);
  open.shift()!();
  await turn();
  assert.equal(last, true);
});

test('a send that fails is repeated; three times without success end it for all who wait', async () => {
  let failures = 2;
  let failed: Error | undefined;
  const answers = new Answers(
    () => 0,
    async () => {
      if (failures-- > 0) throw new Error('no answer');
    },
    (error) => {
      failed = error;
    },
  );
  answers.changed();
  await answers.current();
  assert.equal(failed, undefined);
  failures = 3;
  answers.changed();
  await assert.rejects(answers.current(), /no answer/);
  assert.match(String(failed), /no answer/);
  await assert.rejects(answers.current(), /no answer/);
});
