import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import test from 'node:test';

test('the process is not dumped, and still starts children', () => {
  const program = `
    import { becomeUndumpable } from ${JSON.stringify(join(import.meta.dirname, 'undumpable.ts'))};
    import { execFileSync } from 'node:child_process';
    import { statSync } from 'node:fs';
    const before = statSync('/proc/self/environ').mode & 0o777;
    console.log(becomeUndumpable(), before.toString(8), execFileSync('echo', ['child'], { encoding: 'utf8' }).trim());
  `;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' });
  assert.equal(stdout, 'true 400 child\n', stderr);
});
