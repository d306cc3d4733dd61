import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { realSystem } from '../child/child.ts';
import { runProgram } from '../child/program.ts';
import type { Host } from '../machine/host.ts';
import type { Mac } from '../machine/mac.ts';
import { giveFolder, makeRunFolder } from './folders.ts';
import { copyKey } from './keys.ts';
import { removeLeftovers } from './leftovers.ts';
import { planPhase } from './plan.ts';
import { makeRedactor } from './redact.ts';
import { runPhase } from './run.ts';
import { Secrets } from './secrets.ts';
import { writeShim } from './shim.ts';

const user = { uid: 64_321, gid: 64_321, name: 'op', home: '/nonexistent', setpriv: '/usr/bin/setpriv' };

test('a phase of another user: their rights and no others, their folders, their key of the disk', {
  skip: process.getuid?.() === 0 ? false : 'only root can',
}, async () => {
  const state = mkdtempSync(join(tmpdir(), 'nixie-child-user-'));
  const programs = mkdtempSync(join(tmpdir(), 'nixie-programs-'));
  try {
    chmodSync(programs, 0o755);
    const folder = await makeRunFolder(state);
    if (!folder.inMemory) return assert.fail('expected /dev/shm or /run to be in memory');
    writeFileSync(join(state, 'id'), 'private key\n', { mode: 0o600 });
    const program = join(programs, 'phase');
    writeFileSync(
      program,
      `#!/bin/sh
echo "who $(id -u) $(id -g) $(id -G)"
echo "name $USER"
grep NoNewPrivs /proc/self/status
echo "ssh $(command -v ssh)"
while [ "$1" != -i ]; do shift; done
echo "key $(cat "$2")"
echo "disk $(cat /dev/fd/3)"
echo x > "$HOME/x" && echo x > "$TMPDIR/x" && echo wrote
cat '${join(state, 'id')}' 2>/dev/null && echo leaked
mv "$HOME" "$HOME.other" 2>/dev/null && echo exchanged
exit 3
`,
      { mode: 0o755 },
    );
    chmodSync(program, 0o755);
    await writeShim({ folder: folder.shim, realSsh: '/usr/bin/ssh', hostKeys: ['ssh-ed25519 AAAA'] });
    const key = await copyKey({ privateFile: join(state, 'id'), publicKey: '' }, folder.keys, 'run');
    const host: Host = {
      name: 'm1',
      flakeAttr: 'm1',
      macs: ['52:54:00:00:00:01' as Mac],
      system: 'x86_64-linux',
      tags: [],
      boot: [],
      expectDisks: [],
      wipe: false,
      secrets: { diskKeys: [{ path: '/tmp/disk.key', source: { kind: 'env', name: 'K' } }], files: [] },
    };
    const secrets = new Secrets({
      folder: state,
      env: { K: 'of-the-disk' },
      prompted: new Map(),
      redactor: makeRedactor(),
      warn: () => {},
    });
    const keys = await secrets.openDiskKeys(host, folder, user.uid);
    // Open to the group on the new disk, and many users share a group here.
    const staged = join(folder.staged, 'extra', 'secret');
    mkdirSync(dirname(staged), { mode: 0o755 });
    writeFileSync(staged, 'of the machine', { mode: 0o440 });
    await giveFolder(folder, user);
    const reading = (as: { uid: number; gid: number }) =>
      runProgram('cat', [staged], { deadlineMs: 60_000, env: { PATH: '/usr/bin:/bin' }, as });
    assert.equal((await reading(user)).stdout, 'of the machine');
    assert.equal((await reading({ ...user, uid: 64_322 })).stdout, '');
    let owner: string | undefined;
    const lines: string[] = [];
    const plan = planPhase({
      phase: 'disko',
      host: 'm1',
      address: '127.0.0.1',
      program,
      disko: '/nix/store/a',
      toplevel: '/nix/store/b',
      keyFile: key.privateFile,
      paths: folder,
      searchPath: '/usr/bin:/bin',
      as: user,
      diskKeys: keys!.paths,
    });
    await runPhase({
      plan,
      address: '127.0.0.1',
      descriptors: keys!.descriptors,
      onEvent: (event) => event.kind === 'line' && lines.push(event.text),
      system: {
        ...realSystem,
        spawn: (...call) => {
          const child = realSystem.spawn(...call);
          owner = /^Uid:\s+(.+)$/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1];
          return child;
        },
      },
    });
    keys!.close();
    assert.equal(owner, Array(4).fill(user.uid).join('\t'));
    assert.deepEqual(lines, [
      `who ${user.uid} ${user.gid} ${user.gid}`,
      'name op',
      'NoNewPrivs:  1',
      `ssh ${folder.shim}/ssh`,
      'key private key',
      'disk of-the-disk',
      'wrote',
    ]);
    // A later run knows it for one of ours, and nobody but root and that group comes in.
    assert.deepEqual([statSync(folder.path).uid, statSync(folder.path).mode & 0o777], [0, 0o710]);
    assert.equal(removeLeftovers(state).folders, 1);
    assert.ok(!existsSync(folder.path));
  } finally {
    rmSync(state, { recursive: true, force: true });
    rmSync(programs, { recursive: true, force: true });
  }
});
