// Every folder that the operator names and we make: it is made, or refused by the flag's name, and nobody waits for ever.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import test from 'node:test';

// In a child: what goes wrong here never returns.
test('below a file system that takes no folders every part that makes one says so and ends', () => {
  const parts = `
    import { makeFolders } from ${JSON.stringify(import.meta.resolve('../store/make-folders.ts'))};
    import { openInventoryFolder } from ${JSON.stringify(import.meta.resolve('../store/inventory-folder.ts'))};
    import { makeRunLogs } from ${JSON.stringify(import.meta.resolve('../store/log-folders.ts'))};
    import { makeStateDir } from ${JSON.stringify(import.meta.resolve('./state-dir.ts'))};
    for (const make of [makeFolders, openInventoryFolder, (path) => makeRunLogs(path, 0), (path) => makeStateDir(path, process.getuid())])
      try { make('/proc/nixie/x'); console.log('made'); } catch (error) { console.log(error.message); }
  `;
  const said = execFileSync(process.execPath, ['--input-type=module', '-e', parts], {
    timeout: 20_000,
    killSignal: 'SIGKILL',
    encoding: 'utf8',
  });
  const none = 'no folder can be made in /proc (ENOENT)';
  assert.deepEqual(said.trimEnd().split('\n'), [
    none,
    `make folder for what is read: ${none}; accepted by --out: a folder on a disk that this user may write to`,
    `make log folder in /proc/nixie/x: ${none}; accepted by --log-dir: a folder on a disk that this user may write to`,
    `make state folder /proc/nixie/x: ${none}; change that, or name another with --state: a folder of its own on a disk that this user may write to`,
  ]);
});
