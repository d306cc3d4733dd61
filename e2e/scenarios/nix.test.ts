// Real nix on a toy flake, in a store of its own. Other versions of nix join by NIXIE_E2E_NIX_WRAPPERS: a list, parted by colons, of programs
// that are called as `WRAPPER STORE_FOLDER PROGRAM ARGUMENT…` and run PROGRAM with STORE_FOLDER as /nix.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import test, { after } from 'node:test';
import { build } from '../../controller/src/nix/build.ts';
import { closureOf } from '../../controller/src/nix/closure.ts';
import type { RunNix } from '../../controller/src/nix/command.ts';
import { evaluate } from '../../controller/src/nix/evaluate.ts';
import { NixError } from '../../controller/src/nix/failure.ts';
import { readInstallerFiles, type StoreReader } from '../../controller/src/nix/installer.ts';
import { findRights, folderProbe, makeRunner } from '../../controller/src/nix/runner.ts';
import { storeReader } from '../../controller/src/nix/store-reader.ts';
import type { Evaluation, NixProgress } from '../../controller/src/nix/types.ts';
import { findProgram, type Need, needPrograms, needRoot, skipUnless } from '../lab/need.ts';
import { writeToyFlake } from '../lab/toy-flake.ts';

const busybox = findProgram('busybox') ?? '/bin/busybox';

const needStaticBusybox: Need = () => {
  try {
    execFileSync('ldd', [busybox], { stdio: 'pipe' });
  } catch {
    // ldd fails for what is not dynamic.
    return undefined;
  }
  return `${busybox} is not static: install busybox-static`;
};

const skip = skipUnless(needRoot, needPrograms(['nix', 'nix-store', 'unshare', 'git', 'busybox']), needStaticBusybox);
const box = skip ? '' : mkdtempSync(join(tmpdir(), 'nixie-nix-'));
after(() => {
  if (box === '') return;
  // Root needs no right to write in the store; what a nix that was called off does there on its way out is over soon.
  rmSync(box, { recursive: true, force: true, maxRetries: 10 });
});

const configurations = `
  m1 = host "m1" { };
  installer = host "installer" { };
  broken = throw "no such option: services.typo";
  typed = host 3 { };
  "odd.name" = host "odd" { };
  fails = let bad = mk "needed-tool" "echo line one; echo no compiler here; exit 3"; in
    host "fails" { toplevel = mk "nixos-system-fails" "cat \${bad} > $out"; };
  disks = (host "disks" { }) // { config = (host "disks" { }).config // {
    disko.devices.disk = { main = { device = "/dev/disk/by-id/ata-1"; }; other = { device = throw "no device"; }; };
    services.openssh = { enable = true; ports = [ 2222 ]; hostKeys = [ { path = "/etc/ssh/key"; type = "ed25519"; bits = 1; } ]; };
    users.users.root.openssh.authorizedKeys = { keys = [ "ssh-ed25519 AAAA" ]; keyFiles = [ ]; };
  }; };
  undisked = { config = (host "undisked" { }).config // { system.build = { toplevel = mk "nixos-system-undisked" "mkdir $out"; }; }; };
  bundled = host "bundled" { nixie = mk "bundle" ''mkdir $out; printf kernel > $out/kernel; printf ramdisk > $out/initrd
    printf 'quiet x=1' > $out/kernel-params; ln -s /nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-sys/init $out/init''; };
  ${Array.from({ length: 10 }, (_, i) => `same${i} = host "same" { };`).join('\n  ')}
`;

/** The nix under test as a folder of two programs that see a store of their own. */
interface Nix {
  readonly name: string;
  readonly binDir: string;
  readonly env: Record<string, string>;
  readonly store: StoreReader;
}

function makeNix(name: string, wrapper: string | undefined): Nix {
  const folder = join(box, name);
  for (const part of ['bin', 'nix', 'conf', 'home', 'roots']) mkdirSync(join(folder, part), { recursive: true });
  writeFileSync(
    join(folder, 'conf/nix.conf'),
    // Without nix-command and flakes: Nixie must ask for them itself.
    'sandbox = false\nbuild-users-group =\nsubstituters =\nflake-registry =\n',
  );
  const bound = 'mount --make-rprivate / && mkdir -p /nix && mount --bind "$0" /nix && exec "$@"';
  for (const program of ['nix', 'nix-store']) {
    const real = findProgram(program);
    const start = wrapper
      ? `exec ${wrapper} '${folder}/nix' ${program} "$@"`
      : `exec unshare --mount sh -c '${bound}' '${folder}/nix' ${real} "$@"`;
    writeFileSync(join(folder, 'bin', program), `#!/bin/sh\n${start}\n`);
    chmodSync(join(folder, 'bin', program), 0o755);
  }
  const env = { PATH: process.env.PATH ?? '', HOME: join(folder, 'home'), NIX_CONF_DIR: join(folder, 'conf') };
  return { name, binDir: join(folder, 'bin'), env, store: readerIn(folder) };
}

/** Reads a store that lies in `folder`/nix; links in it lead to /nix. */
function readerIn(folder: string): StoreReader {
  const plain = storeReader();
  const inside = (path: string) => (path.startsWith('/nix/') ? join(folder, path) : path);
  const follow = (path: string): string => {
    const parent = dirname(path) === '/nix/store' ? '/nix/store' : follow(dirname(path));
    const at = join(parent, path.slice(dirname(path).length + 1));
    try {
      return follow(resolve(parent, readlinkSync(inside(at))));
    } catch {
      return at;
    }
  };
  return {
    async realPath(path) {
      const found = follow(path);
      await plain.stat(inside(found));
      return found;
    },
    linkTarget: (path) => plain.linkTarget(inside(path)),
    stat: (path) => plain.stat(inside(follow(path))),
    head: (path, length) => plain.head(inside(follow(path)), length),
    sha256: (path) => plain.sha256(inside(follow(path))),
    chunkHashes: (path, chunkBytes) => plain.chunkHashes(inside(follow(path)), chunkBytes),
  };
}

const nixes = skip
  ? []
  : [
      makeNix('debian', undefined),
      ...(process.env.NIXIE_E2E_NIX_WRAPPERS ?? '')
        .split(':')
        .filter((wrapper) => wrapper !== '')
        .map((wrapper, i) => makeNix(`wrapped-${i}`, wrapper)),
    ];

function git(folder: string, ...args: string[]): string {
  const settings = ['-c', 'user.name=t', '-c', 'user.email=t@example.org', '-c', `safe.directory=${folder}`];
  return execFileSync('git', [...settings, '-C', folder, ...args], { encoding: 'utf8' });
}

async function runner(nix: Nix, folders: readonly string[] = []): Promise<RunNix> {
  const rights = await findRights({ env: nix.env, folders, homeDir: join(nix.binDir, '../private') });
  return makeRunner(nix.env, rights, nix.binDir);
}

async function ask(
  nix: Nix,
  flake: string,
  names: readonly string[],
  more: Partial<Parameters<typeof evaluate>[0]> = {},
): Promise<Evaluation> {
  return evaluate({
    flake,
    installers: {},
    hosts: names.map((name) => ({ name, flakeAttr: name })),
    run: await runner(nix),
    cwd: '/',
    probe: folderProbe,
    nowMs: () => performance.now(),
    ...more,
  });
}

function failureText(evaluation: Evaluation, host: string): string {
  const entry = evaluation.hosts[host];
  assert.ok(entry && !entry.ok, `${host} must fail`);
  return `${entry.failure.cause}: ${entry.failure.text}`;
}

test('a host that throws, one that does not build and one that is missing stop no other', { skip }, async (t) => {
  for (const nix of nixes) {
    await t.test(nix.name, async () => {
      const flake = join(box, nix.name, 'mixed');
      writeToyFlake(flake, { busybox, configurations });
      let calls = 0;
      const run = await runner(nix);
      const evaluation = await ask(nix, flake, ['m1', 'broken', 'fails', 'nowhere', 'undisked', 'disks', 'odd.name'], {
        installers: { 'x86_64-linux': '#installer' },
        run: (call) => {
          calls++;
          return run(call);
        },
      });
      // Metadata, all hosts, and the one that threw once more for its words.
      assert.equal(calls, 3);
      assert.match(failureText(evaluation, 'broken'), /^evaluation: no such option: services\.typo/);
      assert.match(
        failureText(evaluation, 'nowhere'),
        /^missing-attribute: .*nixosConfigurations\.nowhere.*it has: .*m1/,
      );
      assert.match(failureText(evaluation, 'undisked'), /^incomplete: .*diskoScript/);
      const { m1, fails, disks } = evaluation.hosts;
      assert.ok(m1?.ok && fails?.ok && disks?.ok && evaluation.hosts['odd.name']?.ok);
      assert.equal(m1.value.hostName, 'm1');
      assert.equal(m1.value.system, 'x86_64-linux');
      assert.equal(m1.value.rootHasKeys, undefined);
      // One of its two disks isn't told: then none is, and every fixed disk counts as one that is written to.
      assert.equal(disks.value.diskDevices, undefined);
      assert.deepEqual(disks.value.sshPorts, [2222]);
      assert.deepEqual(disks.value.sshHostKeys, [{ path: '/etc/ssh/key', type: 'ed25519' }]);
      assert.equal(disks.value.rootHasKeys, true);

      const installer = evaluation.installers['x86_64-linux'];
      assert.ok(installer?.ok && installer.value.form === 'parts');
      const progress: NixProgress[] = [];
      const built = await build({
        wanted: {
          m1: [m1.value.toplevel, m1.value.diskoScript],
          fails: [fails.value.toplevel, fails.value.diskoScript],
          installer: [installer.value.kernel, installer.value.ramdisk, installer.value.toplevel],
        },
        run,
        nowMs: () => performance.now(),
        gcRootsDir: join(box, nix.name, 'roots'),
        onProgress: (one) => progress.push(one),
      });
      assert.deepEqual(built.results.m1, { ok: true });
      assert.deepEqual(built.results.installer, { ok: true });
      const failed = built.results.fails;
      assert.ok(failed && !failed.ok);
      assert.equal(failed.failure.cause, 'build-failed');
      assert.match(failed.failure.text, /needed-tool.*exit code 3.*which nixos-system-fails needs/);
      assert.deepEqual(failed.failure.log, ['line one', 'no compiler here']);
      assert.deepEqual(built.warnings, []);
      assert.ok(progress.some((one) => one.unit === 'builds' && (one.total ?? 0) > 0));

      // m1's toplevel, disko script, kernel, initrd, installer's toplevel: all rooted that was asked for.
      const roots = readdirSync(join(box, nix.name, 'roots')).map((name) =>
        readlinkSync(join(box, nix.name, 'roots', name)),
      );
      assert.deepEqual(
        roots.sort(),
        [
          m1.value.toplevel,
          m1.value.diskoScript,
          installer.value.kernel,
          installer.value.ramdisk,
          installer.value.toplevel,
        ]
          .map((output) => output.out)
          .sort(),
      );

      const closure = await closureOf(m1.value.toplevel.out, { run });
      assert.equal(closure.sizes.size, 3);
      assert.ok(closure.bytes > 5_000_000 && closure.bytes < 8_000_000);
      await assert.rejects(closureOf(fails.value.toplevel.out, { run }), NixError);

      const served = await readInstallerFiles('x86_64-linux', installer.value, nix.store);
      assert.equal(served.kernel.bytes, 4_000_000);
      assert.deepEqual(served.commandLine, [
        `init=${installer.value.toplevel.out}/init`,
        'loglevel=4',
        'console=ttyS0',
      ]);
    });
  }
});

test('what nix cannot catch is found by asking for halves', { skip }, async (t) => {
  for (const nix of nixes) {
    await t.test(nix.name, async () => {
      const flake = join(box, nix.name, 'halves');
      writeToyFlake(flake, { busybox, configurations });
      const good = Array.from({ length: 10 }, (_, i) => `same${i}`);
      const run = await runner(nix);
      let calls = 0;
      const evaluation = await ask(nix, flake, ['m1', 'typed', ...good], {
        run: (call) => {
          calls++;
          return run(call);
        },
      });
      assert.match(failureText(evaluation, 'typed'), /^evaluation: cannot coerce an integer to a string/);
      for (const name of ['m1', ...good]) assert.equal(evaluation.hosts[name]?.ok, true, name);
      // 12 → 6 → 3 → 2 → 1 and the other halves, with the metadata and the list of names: far fewer than a call for each host and its words.
      assert.ok(calls <= 12, `${calls} calls`);

      // Ten machines of one configuration are four builds.
      const first = evaluation.hosts.same0;
      assert.ok(first?.ok);
      const wanted = Object.fromEntries(
        good.map((name) => {
          const host = evaluation.hosts[name];
          assert.ok(host?.ok);
          return [name, [host.value.toplevel, host.value.diskoScript]];
        }),
      );
      const built = await build({ wanted, run, nowMs: () => performance.now() });
      assert.ok(Object.values(built.results).every((one) => one.ok));
      const again = await build({ wanted, run, nowMs: () => performance.now() });
      // Kernel, initrd, disko script and toplevel; an earlier test may have built the shared ones.
      assert.ok(built.builds >= 1 && built.builds <= 4, `${built.builds} builds`);
      assert.equal(again.builds, 0);
      assert.ok(Object.values(again.results).every((one) => one.ok));
    });
  }
});

test('a dirty tree, a commit, and a checkout of another user', { skip }, async (t) => {
  for (const nix of nixes) {
    await t.test(nix.name, async () => {
      const checkout = join(box, nix.name, 'checkout');
      const flake = join(checkout, 'machines');
      writeToyFlake(flake, { busybox, configurations });
      git(checkout, 'init', '-q', '-b', 'main');
      git(checkout, 'add', '.');
      git(checkout, 'commit', '-q', '-m', 'machines');
      const clean = await ask(nix, flake, ['m1'], {
        installers: { 'x86_64-linux': './machines#bundled' },
        cwd: checkout,
      });
      assert.equal(clean.flake.dirty, false);
      assert.equal(clean.flake.revision, git(checkout, 'rev-parse', 'HEAD').trim());
      assert.deepEqual(clean.warnings, []);
      assert.ok(clean.hosts.m1?.ok);
      const bundled = clean.installers['x86_64-linux'];
      assert.ok(bundled?.ok && bundled.value.form === 'bundle');
      const run = await runner(nix);
      const built = await build({ wanted: { installer: [bundled.value.bundle] }, run, nowMs: () => performance.now() });
      assert.deepEqual(built.results.installer, { ok: true });
      const served = await readInstallerFiles('x86_64-linux', bundled.value, nix.store);
      assert.deepEqual(served.commandLine, [
        'init=/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-sys/init',
        'quiet',
        'x=1',
      ]);
      assert.equal(served.warnings.length, 1);

      writeToyFlake(flake, { busybox, configurations: `${configurations} fresh = host "fresh" { };` });
      const dirty = await ask(nix, flake, ['fresh']);
      assert.equal(dirty.flake.dirty, true);
      assert.match(dirty.warnings.join(), /not committed/);
      assert.ok(dirty.hosts.fresh?.ok);

      execFileSync('chown', ['-R', '65534:65534', checkout]);
      await assert.rejects(ask(nix, flake, ['m1']), (error: unknown) => {
        assert.ok(error instanceof NixError);
        assert.equal(error.failure.cause, 'foreign-owner');
        assert.match(error.message, /safe\.directory/);
        return true;
      });
      const trusted = await ask(nix, flake, ['fresh'], { run: await runner(nix, [flake]) });
      assert.ok(trusted.hosts.fresh?.ok);
    });
  }
});

test('a folder without a flake and a flake that is no Nix fail as a whole', { skip }, async (t) => {
  for (const nix of nixes) {
    await t.test(nix.name, async () => {
      const empty = join(box, nix.name, 'empty');
      mkdirSync(empty);
      const failure = async (): Promise<NixError> => {
        const error = await ask(nix, empty, ['m1', 'm2']).then(
          () => assert.fail('must be rejected'),
          (reason: unknown) => reason,
        );
        assert.ok(error instanceof NixError, String(error));
        return error;
      };
      assert.equal((await failure()).failure.cause, 'not-a-flake');
      writeFileSync(join(empty, 'flake.nix'), '{ outputs = { self }: { nixosConfigurations = { m1 = ; }; }; }');
      assert.match((await failure()).message, /syntax error/);
      writeFileSync(join(empty, 'flake.nix'), '{ outputs = { self }: { packages = { }; }; }');
      assert.equal((await failure()).failure.cause, 'missing-attribute');
      writeFileSync(
        join(empty, 'flake.nix'),
        '{ outputs = { self }: { nixosConfigurations = throw "all is lost"; }; }',
      );
      assert.match((await failure()).message, /all is lost/);
    });
  }
});

test('a build ends with its deadline and with the signal', { skip, timeout: 300_000 }, async (t) => {
  for (const nix of nixes) {
    await t.test(nix.name, async () => {
      const flake = join(box, nix.name, 'slow');
      writeToyFlake(flake, {
        busybox,
        configurations: 'slow = host "slow" { toplevel = mk "slow" "echo started; sleep 3000"; };',
      });
      const run = await runner(nix);
      const { slow } = (await ask(nix, flake, ['slow'])).hosts;
      assert.ok(slow?.ok);
      const wanted = { slow: [slow.value.toplevel] };
      const late = await build({ wanted, run, nowMs: () => performance.now(), deadlineMs: 2_000 });
      assert.ok(late.results.slow && !late.results.slow.ok);
      assert.equal(late.results.slow.failure.cause, 'deadline');
      const stop = new AbortController();
      const cancelled = await build({
        wanted,
        run,
        nowMs: () => performance.now(),
        signal: stop.signal,
        onProgress: (one) => one.text.includes('building slow') && stop.abort(),
      });
      assert.ok(cancelled.results.slow && !cancelled.results.slow.ok);
      assert.equal(cancelled.results.slow.failure.cause, 'aborted');
    });
  }
});
