import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';

test('a read that hangs does not keep the program from its end, nor from its exit status', () => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-leave-test-'));
  try {
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const ends = (before: string, code: number) => {
      const program = `import { readFile } from 'node:fs/promises';
        import { leave } from ${JSON.stringify(new URL('leave.ts', import.meta.url).href)};
        ${before}
        process.stdout.write('told', () => leave(${code}, process.exit));`;
      const { status, signal, stdout, stderr } = spawnSync(
        process.execPath,
        ['--input-type=module', '--eval', program],
        { encoding: 'utf8', timeout: 20_000, killSignal: 'SIGKILL' },
      );
      assert.deepEqual({ status, signal, stdout, stderr }, { status: code, signal: null, stdout: 'told', stderr: '' });
    };
    ends(`void readFile(${JSON.stringify(pipe)});`, 7);
    ends(`void readFile(${JSON.stringify(pipe)});`, 0);
    ends('', 3);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
