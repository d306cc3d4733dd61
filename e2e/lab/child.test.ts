import assert from 'node:assert/strict';
import test from 'node:test';
import { run } from './child.ts';

test('letters of three bytes come whole, wherever a pipe cuts them', async () => {
  const { stdout } = await run(['sh', '-c', "yes ’ | tr -d '\\n' | head -c 299997"]);
  assert.equal(stdout, '’'.repeat(99_999));
});
