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
    const end = (before: string, code: number) => {
      const program = `import { constants, openSync } from 'node:fs';
        import { readFile } from 'node:fs/promises';
        import { leave } from ${JSON.stringify(new URL('leave.ts', import.meta.url).href)};
        const pipe = ${JSON.stringify(pipe)};
        ${before}
        process.stdout.write('told', () => leave(${code}, process.exit));`;
      const argv = ['--input-type=module', '--eval', program];
      const ran = spawnSync(process.execPath, argv, { encoding: 'utf8', timeout: 120_000, killSignal: 'SIGABRT' });
      return { status: ran.status, signal: ran.signal, stdout: ran.stdout, stderr: ran.stderr };
    };
    // Somebody who never writes is let in once a reader is there.
    const reads = `void readFile(pipe);
      for (;;) try { openSync(pipe, constants.O_WRONLY | constants.O_NONBLOCK); break; } catch {}`;
    for (const [before, code] of [
      [reads, 7],
      [reads, 0],
      ['', 3],
    ] as const)
      assert.deepEqual(end(before, code), { status: code, signal: null, stdout: 'told', stderr: '' });
    const noShell = `${reads} process.execve = () => { throw new Error('none'); };`;
    assert.deepEqual(end(noShell, 0), { status: null, signal: 'SIGKILL', stdout: 'told', stderr: '' });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
