// `sudo nixie` to its end against a real sshd: a real nix daemon, a real unprivileged user, their checkout. Everything that is started runs as that
// user; where they can't reach all of it, that is said before anything begins, and root leaves nothing behind in the checkout.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before, describe } from 'node:test';
import { runPrefix } from '../../controller/src/install/folders.ts';
import { keygen, makeKey } from '../../controller/src/install/keys.ts';
import { run, start } from '../lab/child.ts';
import type { OperatorInstall, OperatorInstalled, OperatorProof } from '../lab/install-as-operator.ts';
import { findProgram, needNetns, needPrograms, skipUnless } from '../lab/need.ts';
import { startNixDaemon } from '../lab/nix-daemon.ts';
import { makeTarget, type Target, targetAddress } from '../lab/nixos-anywhere/target.ts';
import { writeToyFlake } from '../lab/toy-flake.ts';

const skip = skipUnless(
  needNetns,
  needPrograms([
    ...['nix', 'nix-store', 'nix-daemon', 'git', 'busybox', 'setpriv', 'unshare', 'nsenter'],
    ...['ssh', 'sshd', 'ssh-copy-id', 'ssh-keygen', 'ssh-keyscan'],
  ]),
);
const op = { uid: 64_321, gid: 64_321 };
const searchPath = '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin';
const timeout = 400_000;

// In front of "$@": what the test wants to be different.
const script = `
mount --make-rprivate /
mount --bind "$BOX_NIX" /nix
mount --bind "$BOX/passwd" /etc/passwd
${startNixDaemon('$BOX/daemon.log')}
eval "$BOX_MOUNTS"
"$@"
`;

describe('an install for the user that called sudo', { skip, timeout: 1_500_000 }, () => {
  let target: Target;
  let box: string;
  const at = (...parts: string[]) => join(box, ...parts);

  before(async () => {
    target = await makeTarget();
    box = mkdtempSync(join(tmpdir(), 'nixie-operator-install-'));
    chmodSync(box, 0o755);
    for (const folder of ['home', 'programs', 'part', 'sources', 'state']) mkdirSync(at(folder));
    chmodSync(at('sources'), 0o700);
    chmodSync(at('state'), 0o700);
    chownSync(at('home'), op.uid, op.gid);
    const passwd = `${readFileSync('/etc/passwd', 'utf8')}op:x:${op.uid}:${op.gid}::${at('home')}:/bin/sh\n`;
    writeFileSync(at('passwd'), passwd, { mode: 0o644 });
    const anywhere = findProgram('nixos-anywhere') ?? join(import.meta.dirname, '../lab/nixos-anywhere/nixos-anywhere');
    copyFileSync(anywhere, at('programs/nixos-anywhere'));
    chmodSync(at('programs/nixos-anywhere'), 0o755);
    // Of root, and closed to all others.
    writeFileSync(at('sources/disk'), 'correct horse', { mode: 0o600 });
    writeFileSync(at('sources/file'), 'battery staple\n', { mode: 0o600 });
    await makeKey(box, 'run', 'nixie-run', keygen(searchPath));
  });
  after(async () => {
    await target?.close();
    if (box === undefined) return;
    rmSync(box, { recursive: true, force: true, maxRetries: 10 });
  });

  /** A git checkout of that user in which a reader could want to write: the index has old times, the lock file is missing. */
  function makeCheckout(name: string): string {
    const checkout = at(name);
    writeToyFlake(checkout, {
      busybox: findProgram('busybox')!,
      configurations: 'm1 = host "m1" { }; installer = host "installer" { };',
    });
    writeFileSync(at('part/file'), '');
    const flake = readFileSync(join(checkout, 'flake.nix'), 'utf8').replace(
      'outputs = { self }:',
      `inputs.part = { url = "path:${at('part')}"; flake = false; };\n  outputs = { self, part }:`,
    );
    assert.match(flake, /inputs\.part/);
    writeFileSync(join(checkout, 'flake.nix'), flake);
    execFileSync('git', ['init', '-q', checkout]);
    execFileSync('git', ['-C', checkout, 'add', '.']);
    const author = ['-c', 'user.name=op', '-c', 'user.email=op@example.org'];
    execFileSync('git', ['-C', checkout, ...author, 'commit', '-q', '-m', 'machines']);
    execFileSync('chown', ['-R', `${op.uid}:${op.gid}`, checkout]);
    utimesSync(join(checkout, 'flake.nix'), 1, 1);
    return checkout;
  }

  interface Given {
    readonly checkout: string;
    readonly nixosAnywhere?: string;
    readonly mounts?: string;
    /** What the agent is said to have registered, when it isn't the target's own. */
    readonly sshHostKey?: string;
  }

  /** To the end of the install, or its failure. */
  async function begin(given: Given) {
    const publicKey = readFileSync(at('run.pub'), 'utf8').trim();
    await target.reset([publicKey]);
    const request: OperatorInstall = {
      flake: given.checkout,
      stateDir: at('state'),
      nixosAnywhere: given.nixosAnywhere ?? at('programs/nixos-anywhere'),
      runKey: { privateFile: at('run'), publicKey },
      address: targetAddress,
      sshHostKey: given.sshHostKey ?? target.hostKey,
      folder: at('sources'),
      secrets: {
        diskKeys: [{ path: '/run/keys/disk.key', source: { kind: 'file', path: 'disk' } }],
        files: [{ path: '/etc/secret', source: { kind: 'file', path: 'file' }, mode: 0o440, owner: '7:8' }],
      },
    };
    const said: string[] = [];
    const first = Promise.withResolvers<void>();
    const driver = join(import.meta.dirname, '../lab/install-as-operator.ts');
    const nixie = start(
      [
        target.inNet,
        'unshare',
        '--mount',
        'sh',
        '-ec',
        script,
        'sh',
        process.execPath,
        driver,
        JSON.stringify(request),
      ],
      {
        deadlineMs: 360_000,
        stdin: 'pipe',
        env: {
          ...target.env,
          BOX: box,
          BOX_NIX: join(target.folder, 'controller/nix'),
          BOX_MOUNTS: given.mounts ?? '',
          PATH: searchPath,
          HOME: '/root',
          SECRET_OF_ROOT: 'not for children',
          SUDO_USER: 'op',
          SUDO_UID: String(op.uid),
          SUDO_GID: String(op.gid),
        },
        onLine(line, from) {
          said.push(line);
          if (from === 'out') first.resolve();
        },
      },
    );
    await Promise.race([first.promise, nixie.exited]);
    const parsed = answers(said)[0];
    assert.ok(parsed !== undefined, said.join('\n'));
    return { installed: JSON.parse(parsed) as OperatorInstalled, nixie, said };
  }

  /** Without what was said on standard error, before it or after it. */
  const answers = (said: readonly string[]) => said.filter((line) => line.startsWith('{'));

  async function install(given: Given) {
    const index = readFileSync(join(given.checkout, '.git/index'));
    const { installed, nixie, said } = await begin(given);
    assert.equal(installed.failure, undefined, `${installed.failure}\n${installed.lines.join('\n')}`);
    assert.deepEqual(installed.told, ['disko-ended', 'install-began', 'install-ended']);
    await target.bootInstalled(installed.toplevel!);
    nixie.write('prove\n');
    const { code } = await nixie.exited;
    assert.equal(code, 0, said.join('\n'));
    const proof = JSON.parse(answers(said).at(-1)!) as OperatorProof;
    assert.deepEqual(
      proof.told.map(({ kind }) => kind),
      ['proof-given'],
    );

    // The same for everybody: what arrived, and what was left.
    const modes = 'stat -c "%a %u:%g %n" /mnt/etc /mnt/etc/secret /mnt/etc/ssh/ssh_host_ed25519_key /run/keys/disk.key';
    assert.deepEqual((await target.inside(modes)).trim().split('\n'), [
      '755 0:0 /mnt/etc',
      '440 7:8 /mnt/etc/secret',
      '600 0:0 /mnt/etc/ssh/ssh_host_ed25519_key',
      '600 0:0 /run/keys/disk.key',
    ]);
    assert.equal(await target.inside('cat /run/keys/disk.key /mnt/etc/secret'), 'correct horsebattery staple\n');
    // One for both phases and one for the proof; nix makes a login of its own where it waits for a word of it (2.9 and later).
    assert.ok(target.logins() >= 2 && target.logins() <= 4, `${target.logins()} logins`);
    assert.ok(!existsSync(join(given.checkout, 'flake.lock')), 'no lock file was written');
    // Its owner's git may note down what it found; ours not.
    if (installed.as === undefined)
      assert.deepEqual(readFileSync(join(given.checkout, '.git/index')), index, 'the index was left alone');
    assert.deepEqual(
      [...installed.ran, ...proof.ran].filter((each) => each.endsWith(' leak')),
      [],
      'clean environments',
    );
    const foreign = await run(['find', given.checkout, at('home'), '!', '-uid', String(op.uid)]);
    assert.equal(foreign.stdout, '', 'nothing of root is in the checkout and the home');
    assert.equal(statSync(at('state')).mode & 0o777, 0o700);
    const runFolders = join(at('state'), 'run');
    for (const [place, prefix] of [
      ['/dev/shm', runPrefix(runFolders)],
      [runFolders, 'run-'],
    ] as const)
      assert.deepEqual(existsSync(place) ? readdirSync(place).filter((name) => name.startsWith(prefix)) : [], []);
    return { installed, proof };
  }

  /** `PROGRAM UID nnp=N` → programs by the rest. */
  const by = (ran: readonly string[]) => {
    const found: Record<string, string[]> = {};
    for (const each of ran) {
      const [name = '', ...rest] = each.split(' ');
      const who = rest.join(' ');
      found[who] = [...(found[who] ?? []), name];
    }
    return found;
  };

  test('all of it runs as that user, with no way to more rights', { timeout }, async () => {
    const { installed, proof } = await install({ checkout: makeCheckout('checkout') });
    assert.deepEqual([installed.as?.name, installed.as?.uid, installed.notice], ['op', op.uid, undefined]);
    const phases = by(installed.ran);
    // Keys are made in the state folder, which is root's; so are the roots of what was built.
    assert.deepEqual(
      (phases['0 nnp=0'] ?? []).filter((name) => !['ssh-keygen', 'nix'].includes(name)),
      [],
      JSON.stringify(phases),
    );
    const theirs = phases[`${op.uid} nnp=1`] ?? [];
    for (const name of ['bash', 'ssh', 'nix']) assert.ok(theirs.includes(name), `${name}: ${JSON.stringify(phases)}`);
    assert.deepEqual(by(proof.ran)['0 nnp=0'] ?? ['ssh-keygen'], ['ssh-keygen'], JSON.stringify(proof.ran));
    assert.ok(by(proof.ran)[`${op.uid} nnp=1`]?.includes('ssh'), JSON.stringify(proof.ran));
    assert.match(readFileSync(at('daemon.log'), 'utf8'), /accepted connection from pid \d+, user op/);
  });

  test('a closed folder on the way: said once and before, and root leaves the checkout as it was', {
    timeout,
  }, async () => {
    mkdirSync(at('closed'), { mode: 0o700 });
    copyFileSync(at('programs/nixos-anywhere'), at('closed/nixos-anywhere'));
    chmodSync(at('closed/nixos-anywhere'), 0o755);
    const { installed } = await install({
      checkout: makeCheckout('checkout2'),
      nixosAnywhere: at('closed/nixos-anywhere'),
    });
    assert.equal(installed.as, undefined);
    assert.equal(
      installed.notice,
      `nix, nixos-anywhere and ssh run as root and not as op, who called sudo: op may not enter ${at('closed')}, on the way to ${at('closed/nixos-anywhere')}. To have it otherwise, change that and begin again`,
    );
    assert.deepEqual(
      Object.keys(by(installed.ran)).filter((who) => !who.startsWith('0 ')),
      [],
      'from then on',
    );
  });

  test('a nix daemon that answers no more: as root, which is said', { timeout }, async () => {
    const { installed } = await install({
      checkout: makeCheckout('checkout4'),
      mounts: 'kill $daemon; wait $daemon || :',
    });
    assert.equal(installed.as, undefined);
    assert.match(installed.notice ?? '', /as root and not as op, .*: no nix daemon answers at \/nix\/var\/.*socket\. /);
  });

  test('no program may be executed in memory: as root, and still with a pinned host key', { timeout }, async () => {
    const given = {
      checkout: makeCheckout('checkout3'),
      mounts: 'mount -t tmpfs -o noexec none /dev/shm; mount -t tmpfs -o noexec none /run',
    };
    const { installed } = await install(given);
    assert.equal(installed.as, undefined);
    assert.match(installed.notice ?? '', /not as op, .*: expected a place in memory where programs may be executed/);
    const { publicKey } = await makeKey(box, 'other', 'other', keygen(searchPath));
    const other = await begin({ ...given, sshHostKey: publicKey });
    await other.nixie.exited;
    assert.match(other.installed.failure ?? '', /^another machine answers at/);
    assert.deepEqual([target.logins(), target.commands()], [0, []]);
  });
});
