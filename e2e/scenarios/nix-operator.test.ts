// `sudo nixie` with a real nix daemon: nix reads the flake with the rights of the user that called, and the roots lie where only we may write.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { run } from '../lab/child.ts';
import { findProgram, needPrograms, needRoot, skipUnless } from '../lab/need.ts';
import { startNixDaemon } from '../lab/nix-daemon.ts';
import { writeToyFlake } from '../lab/toy-flake.ts';

const skip = skipUnless(needRoot, needPrograms(['nix', 'nix-store', 'nix-daemon', 'unshare', 'git', 'busybox']));
const op = { uid: 64_321, gid: 64_321 };

// The daemon is a child of the script that Nixie's programs end with.
const script = `
mount --make-rprivate /
mkdir -p /nix
mount --bind "$BOX/nix" /nix
mount --bind "$BOX/passwd" /etc/passwd
${startNixDaemon('$BOX/daemon.log')}
"$@"
`;

test('through sudo and with a daemon a user’s checkout is read as that user', { skip, timeout: 500_000 }, async () => {
  const box = mkdtempSync(join(tmpdir(), 'nixie-operator-'));
  try {
    chmodSync(box, 0o755);
    for (const folder of ['nix', 'conf', 'home']) mkdirSync(join(box, folder));
    mkdirSync(join(box, 'roots'), { mode: 0o700 });
    chownSync(join(box, 'home'), op.uid, op.gid);
    writeFileSync(
      join(box, 'conf/nix.conf'),
      'sandbox = false\nbuild-users-group =\nsubstituters =\nflake-registry =\n',
    );
    const passwd = `${readFileSync('/etc/passwd', 'utf8')}op:x:${op.uid}:${op.gid}::${box}/home:/bin/sh\n`;
    writeFileSync(join(box, 'passwd'), passwd, { mode: 0o644 });
    const checkout = join(box, 'checkout');
    writeToyFlake(checkout, { busybox: findProgram('busybox')!, configurations: 'm1 = host "m1" { };' });
    execFileSync('git', ['init', '-q', checkout]);
    execFileSync('git', ['-C', checkout, 'add', '.']);
    execFileSync('chown', ['-R', `${op.uid}:${op.gid}`, checkout]);

    const driver = fileURLToPath(new URL('../lab/nix-as-operator.ts', import.meta.url));
    const inside = [process.execPath, driver, checkout, join(box, 'roots'), join(box, 'private')];
    // With a network of its own: the kernel's list of sockets has paths without the namespace of files they are in, and this computer's daemon has
    // the same path.
    const ran = await run(['unshare', '--mount', '--net', 'sh', '-ec', script, 'sh', ...inside], {
      deadlineMs: 400_000,
      env: {
        BOX: box,
        PATH: process.env.PATH,
        HOME: '/root',
        NIX_CONF_DIR: join(box, 'conf'),
        SUDO_USER: 'op',
        SUDO_UID: String(op.uid),
        SUDO_GID: String(op.gid),
      },
    });
    const said = JSON.parse(ran.stdout.trim().split('\n').at(-1)!);
    assert.deepEqual(said.who, { name: 'op', ...op, home: join(box, 'home') });
    assert.equal(said.host.ok, true, JSON.stringify(said.host));
    assert.deepEqual(said.built.results, { m1: { ok: true } });
    assert.deepEqual(said.built.warnings, []);
    assert.deepEqual(readdirSync(join(box, 'roots')), ['built']);
    // The daemon saw that user, and nix left its caches with them and not with root.
    assert.match(readFileSync(join(box, 'daemon.log'), 'utf8'), /accepted connection from pid \d+, user op/);
    assert.ok(readdirSync(join(box, 'home')).includes('.cache'));
  } finally {
    // Root needs no right to write in the store; what the daemon's last child does there on its way out is over soon.
    rmSync(box, { recursive: true, force: true, maxRetries: 10 });
  }
});
