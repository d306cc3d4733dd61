// Each way in which an install can go, against a real sshd: nixos-anywhere (the one of PATH, else the stand-in), our ssh in front of it, our watch
// over it. The failure rows are also compared with recordings of the real nixos-anywhere: same headings, same end, same commands at the target.
// It is long because each row of failures is a test of its own, and all share one target and one reading of the recordings.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before, describe } from 'node:test';
import { realSystem, type SpawnedChild } from '../../controller/src/child/child.ts';
import { sessionGroups } from '../../controller/src/child/groups.ts';
import { type Runner, runProgram } from '../../controller/src/child/program.ts';
import { findByMac } from '../../controller/src/install/find.ts';
import { makeRunFolder, type RunFolder } from '../../controller/src/install/folders.ts';
import { installedHostKey, type KeyPair, keygen, makeKey, proofKey } from '../../controller/src/install/keys.ts';
import {
  type PatienceChange,
  type Phase,
  type PhasePlan,
  planPhase,
  type Step,
} from '../../controller/src/install/plan.ts';
import type { PhaseEvent } from '../../controller/src/install/progress.ts';
import { headings, readRecording } from '../../controller/src/install/recording.ts';
import { type PhaseResult, runPhase } from '../../controller/src/install/run.ts';
import { writeShim } from '../../controller/src/install/shim.ts';
import { stageExtraFiles } from '../../controller/src/install/staging.ts';
import { prove, scanHostKey } from '../../controller/src/install/verify.ts';
import type { Mac } from '../../controller/src/machine/mac.ts';
import { run } from '../lab/child.ts';
import { needNetns, needPrograms, skipUnless } from '../lab/need.ts';
import { deadAddress, makeTarget, type Target, type ToySystem, targetAddress } from '../lab/nixos-anywhere/target.ts';
import { until } from '../lab/patience.ts';

const skip = skipUnless(
  needNetns,
  needPrograms(['nix', 'nix-store', 'ssh', 'sshd', 'ssh-copy-id', 'ssh-keygen', 'unshare', 'nsenter', 'busybox']),
);
const searchPath = '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin';
const timeout = 300_000;

describe('an install over ssh', { skip, timeout: 1_800_000 }, () => {
  let target: Target;
  let systems: Record<string, ToySystem>;
  let key: KeyPair;
  let state: string;
  const sshKeygen = keygen(searchPath);

  before(async () => {
    state = mkdtempSync(join(tmpdir(), 'nixie-install-'));
    key = await makeKey(state, 'run', 'nixie-run', sshKeygen);
    target = await makeTarget();
    systems = await target.build(['m1', 'big', 'refuses', 'missing', 'slow']);
    console.log(`nixos-anywhere: ${target.isStandIn ? 'the stand-in of the lab' : 'the one on PATH'}`);
  });
  after(async () => {
    await target?.close();
    if (state !== undefined) rmSync(state, { recursive: true, force: true });
  });

  interface Try {
    readonly system?: string;
    readonly address?: string;
    readonly key?: KeyPair;
    /** What the shim believes; the target's own key unless said. */
    readonly hostKey?: string;
    readonly extraFiles?: string;
    readonly patience?: PatienceChange;
    /** Changes the call, for runs that Nixie does not make. */
    readonly change?: (plan: PhasePlan) => PhasePlan;
    readonly signal?: AbortSignal;
    /** Called at each event, with the child. */
    readonly on?: (event: PhaseEvent, child: SpawnedChild) => void;
    readonly folder?: RunFolder;
  }
  interface Tried {
    readonly result: PhaseResult;
    readonly texts: string[];
    readonly commands: string[];
  }

  /** One child; afterwards nothing of it may be left. */
  async function attempt(phase: Phase, given: Try = {}): Promise<Tried> {
    const folder = given.folder ?? (await makeRunFolder(state));
    const texts: string[] = [];
    let child: SpawnedChild | undefined;
    try {
      const address = given.address ?? targetAddress;
      await writeShim({
        folder: folder.shim,
        realSsh: target.ssh,
        hostKeys: [given.hostKey ?? target.hostKey],
        connectTimeoutSeconds: 5,
      });
      const plan = planPhase({
        phase,
        host: 'm1',
        address,
        program: target.program,
        ...systems[given.system ?? 'm1']!,
        keyFile: (given.key ?? key).privateFile,
        paths: folder,
        searchPath,
        env: target.env,
        ...(given.extraFiles === undefined ? {} : { extraFiles: given.extraFiles }),
        ...(given.patience === undefined ? {} : { patience: given.patience }),
      });
      const result = await runPhase({
        plan: given.change?.(plan) ?? plan,
        address,
        system: {
          ...realSystem,
          spawn: (...call) => {
            child = realSystem.spawn(...call);
            return child;
          },
        },
        onEvent: (event) => {
          if (event.kind === 'line') texts.push(event.text);
          given.on?.(event, child!);
        },
        ...(given.signal === undefined ? {} : { signal: given.signal }),
      });
      // Killed is not gone: the kernel needs a moment.
      await until(
        'no process of the child',
        () => sessionGroups(child!.pid!).length === 0,
        () => texts.join('\n'),
      );
      assert.ok(!existsSync(folder.tmp), 'no copy of a key is left');
      return { result, texts, commands: target.commands() };
    } finally {
      await folder.remove();
    }
  }
  const at =
    (step: Step, call: (child: SpawnedChild) => void) =>
    (event: PhaseEvent, child: SpawnedChild): void => {
      if (event.kind === 'step' && event.step === step) call(child);
    };
  function failed({ result, texts }: Tried, cause: string) {
    assert.ok(!result.ok, `it ended well:\n${texts.join('\n')}`);
    assert.equal(result.cause, cause, `${result.sentence}\n${texts.join('\n')}`);
    return result;
  }
  function good({ result, texts }: Tried) {
    assert.ok(result.ok, `${JSON.stringify(result, null, 2)}\n${texts.join('\n')}`);
    return result;
  }

  /** Store paths differ, polls come as often as they come, and the recorder wrote words without their quotes. */
  const plain = (commands: readonly string[]) =>
    commands
      .map((command) => command.replaceAll("'", '').replace(/^\/nix\/store\/\S+$/, 'DISKO'))
      .filter((command, index, all) => command !== 'exit 0' || all[index - 1] !== 'exit 0');
  /** As recorded: these phases in one call. */
  const recordedCall = (phases: string[], more: string[] = []) => ({
    change: (plan: PhasePlan): PhasePlan => {
      const argv = [...plan.argv];
      const place = argv.indexOf('--phases');
      argv.splice(place, 2, ...(phases.length === 0 ? [] : ['--phases', phases.join(',')]), ...more);
      return { ...plan, argv };
    },
  });
  function like(tried: Tried, name: string, options: { flake?: boolean } = {}) {
    const recording = readRecording(name);
    assert.deepEqual(headings(tried.texts), headings(recording.lines.map(({ text }) => text)), 'headings');
    const theirs = plain(recording.commands);
    // Recorded with --flake: there the target's substituters are changed by one more `sh` behind the facts, which Nixie switches off.
    if (options.flake === true) theirs.splice(theirs.indexOf('sh'), 1);
    assert.deepEqual(plain(tried.commands), theirs, 'commands at the target');
    const status = tried.result.ok ? 0 : tried.result.status;
    assert.equal(status, recording.status < 0 ? undefined : recording.status, 'status');
  }

  test('three phases end in a system that is proved by its own key', { timeout }, async () => {
    await target.reset([key.publicKey]);
    const before = process.umask(0o077);
    const folder = await makeRunFolder(state);
    try {
      const hostKey = await installedHostKey(state, 'm1', sshKeygen);
      const proof = await proofKey(state, sshKeygen);
      const staged = await stageExtraFiles(join(folder.path, 'extra'), { hostKey, proofKey: proof.publicKey });
      const { toplevel, disko } = systems.m1!;

      const first = await attempt('disko');
      good(first);
      assert.deepEqual(first.commands, ['exit', 'enableDebug= sh --', 'nix-store --serve --write', disko]);
      const second = await attempt('install', { extraFiles: staged.path });
      good(second);
      assert.deepEqual(plain(second.commands).slice(4), [
        'exit',
        'enableDebug= sh --',
        'nix-store --serve --write --store local?root=/mnt',
        'tar -C /mnt -xf- --no-same-owner',
        'chmod 755 /mnt',
        'sh',
      ]);
      const modes = await target.inside(
        'stat -c "%a %u %n" /mnt /mnt/etc /mnt/etc/ssh /mnt/etc/ssh/ssh_host_ed25519_key /mnt/root /mnt/root/.ssh /mnt/root/.ssh/authorized_keys',
      );
      assert.deepEqual(modes.trim().split('\n'), [
        '755 0 /mnt',
        '755 0 /mnt/etc',
        '755 0 /mnt/etc/ssh',
        '600 0 /mnt/etc/ssh/ssh_host_ed25519_key',
        '700 0 /mnt/root',
        '700 0 /mnt/root/.ssh',
        '600 0 /mnt/root/.ssh/authorized_keys',
      ]);
      assert.equal((await target.inside('readlink /mnt/nix/var/nix/profiles/system')).trim(), toplevel);

      const proofOf = async (more: { toplevel?: string; identities?: string[]; hostKey?: string } = {}) =>
        await prove({
          address: targetAddress,
          hostKey: hostKey.publicKey,
          toplevel,
          identities: [proof.privateFile],
          folder: state,
          ssh: target.ssh,
          searchPath,
          ...more,
        });
      assert.equal((await proofOf()).kind, 'wrong-key', 'the installer is not the installed system');

      const third = await attempt('reboot');
      const end = good(third);
      assert.ok(end.ok && end.shows === 'went-away');
      assert.deepEqual(headings(third.texts).slice(2), [
        '### Rebooting ###',
        '### Waiting for the machine to become unreachable due to reboot ###',
        '### Done! ###',
      ]);
      assert.equal((await proofOf()).kind, 'unreachable', 'nothing came up yet');

      await target.bootInstalled(toplevel);
      assert.deepEqual(await proofOf(), { kind: 'proved', toplevel, by: 'key' });
      assert.equal((await proofOf({ toplevel: systems.big!.toplevel })).kind, 'other-system');
      assert.equal((await proofOf({ identities: [key.privateFile] })).kind, 'no-way-in');
      assert.equal((await proofOf({ hostKey: target.hostKey })).kind, 'wrong-key');
      const inNamespace: Runner = (program, argv, limits) => runProgram(target.inNet, [program, ...argv], limits);
      assert.deepEqual(await scanHostKey({ address: targetAddress, searchPath, run: inNamespace }), {
        kind: 'key',
        key: hostKey.publicKey,
      });
      const mac = (await target.inside('cat /sys/class/net/eth0/address')).trim() as Mac;
      assert.deepEqual(await findByMac({ macs: [mac], interfaceName: 'eth0', table: target.neighbours }), [
        targetAddress,
      ]);
      // The proof key opens nothing else.
      const asked = await run(
        [
          target.ssh,
          '-F',
          '/dev/null',
          '-o',
          'UserKnownHostsFile=/dev/null',
          '-o',
          'StrictHostKeyChecking=no',
          '-i',
          proof.privateFile,
          `root@${targetAddress}`,
          'id',
        ],
        { accept: true },
      );
      assert.equal(asked.stdout, `${toplevel}\n${toplevel}\n`);

      const log = [first, second, third].flatMap(({ texts }) => texts).join('\n');
      for (const secret of [key, hostKey, proof]) {
        const words = readFileSync(secret.privateFile, 'utf8')
          .split('\n')
          .filter((line) => /^[A-Za-z0-9+/=]{30,}$/.test(line));
        assert.ok(words.length > 0);
        for (const word of words) assert.ok(!log.includes(word), 'a private key is in the log');
      }
    } finally {
      process.umask(before);
      await folder.remove();
    }
  });

  test('as recorded: disko and install in one call', { timeout }, async () => {
    await target.reset([key.publicKey]);
    const tried = await attempt('disko', recordedCall(['disko', 'install'], ['--no-substitute-on-destination']));
    good(tried);
    like(tried, '10-store-paths');
    assert.ok(
      tried.texts.some((text) => /^copying path '\/nix\/store\/.*' to 'ssh:\/\/root@10\.77\.9\.2'\.\.\.$/.test(text)),
    );
  });

  test('another machine at the address: nothing reaches it', { timeout }, async () => {
    await target.reset([key.publicKey]);
    const result = failed(await attempt('disko', { hostKey: key.publicKey }), 'other-machine');
    assert.ok(result.seconds < 60);
    assert.deepEqual(target.commands(), []);
  });

  test('as recorded: a key that is not let in', { timeout }, async () => {
    await target.reset([]);
    const tried = await attempt('disko');
    failed(tried, 'login-refused');
    like(tried, '02-wrong-key');
  });

  test('as recorded: nobody at the address', { timeout }, async () => {
    await target.reset([key.publicKey]);
    const tried = await attempt('disko', { address: deadAddress, patience: { stepMs: { keys: 12_000 } } });
    const { sentence } = failed(tried, 'unreachable');
    assert.match(sentence, new RegExp(deadAddress));
    like(tried, '07-unreachable');
  });

  test('as recorded: an image without cpio', { timeout }, async () => {
    await target.reset([key.publicKey], { without: ['cpio'] });
    const tried = await attempt('disko');
    assert.match(failed(tried, 'image-incomplete').sentence, /no cpio command found/);
    like(tried, '13-no-cpio');
  });

  test('the status of disko comes through', { timeout }, async () => {
    await target.reset([key.publicKey]);
    assert.equal(failed(await attempt('disko', { system: 'refuses' }), 'disko-failed').status, 42);
  });

  test('as recorded: a disk is missing', { timeout }, async () => {
    await target.reset([key.publicKey]);
    const tried = await attempt('disko', { system: 'missing' });
    assert.equal(failed(tried, 'disk-missing').status, 4); // sgdisk's; the recording's script ended with 1
    like({ ...tried, result: { ...tried.result, status: 1 } as PhaseResult }, '03-disk-missing', { flake: true });
  });

  test('as recorded: the machine dies in disko', { timeout }, async () => {
    await target.reset([key.publicKey]);
    const tried = await attempt('disko', {
      system: 'slow',
      on: (event) => {
        if (event.kind === 'line' && event.text === 'formatting 2/9') target.killSessions();
      },
    });
    failed(tried, 'connection-lost');
    like(tried, '06a-crash-in-disko', { flake: true });
  });

  test('as recorded: the machine dies in the upload; the next try succeeds', { timeout }, async () => {
    await target.reset([key.publicKey]);
    const call = recordedCall(['disko', 'install']);
    let cut = false;
    const tried = await attempt('disko', {
      ...call,
      system: 'big',
      on: (event) => {
        if (event.kind !== 'copy' || event.step !== 'copy' || !event.path?.includes('linux-toy') || cut) return;
        cut = true;
        target.killSessions();
      },
    });
    failed(tried, 'connection-lost');
    like(tried, '06d-crash-in-upload', { flake: true });
    good(await attempt('install', { system: 'big' }));
    assert.equal((await target.inside('readlink /mnt/nix/var/nix/profiles/system')).trim(), systems.big!.toplevel);
  });

  test('as recorded: the machine dies in install', { timeout }, async () => {
    await target.reset([key.publicKey], { slowInstall: true });
    const tried = await attempt('disko', {
      ...recordedCall(['disko', 'install']),
      on: (event) => {
        if (event.kind === 'line' && event.text === 'installing step 2/15') target.killSessions();
      },
    });
    assert.equal(failed(tried, 'connection-lost').step, 'install');
    like(tried, '06e-crash-in-install', { flake: true });
  });

  test('as recorded: a link cut while waiting looks like success, and is not taken for a proof', {
    timeout,
  }, async () => {
    await target.reset([key.publicKey], { neverReboots: true });
    let polls = 0;
    const timer = setInterval(() => {
      const now = target.commands().filter((command) => command === 'exit 0').length;
      if (now >= 2 && polls < 2) void target.cable(false);
      polls = now;
    }, 100);
    try {
      const tried = await attempt('reboot', recordedCall([]));
      const result = good(tried);
      assert.ok(result.ok && result.shows === 'went-away');
      like(tried, '22-linkcut-while-waiting');
      const { privateFile } = await proofKey(state, sshKeygen);
      const { publicKey } = await installedHostKey(state, 'm1', sshKeygen);
      const proof = await prove({
        address: targetAddress,
        hostKey: publicKey,
        toplevel: systems.m1!.toplevel,
        identities: [privateFile],
        folder: state,
        ssh: target.ssh,
        searchPath,
        deadlineMs: 5000,
      });
      assert.equal(proof.kind, 'unreachable');
    } finally {
      clearInterval(timer);
      await target.cable(true);
    }
  });

  test('as recorded: the machine never reboots', { timeout }, async () => {
    await target.reset([key.publicKey], { neverReboots: true });
    const tried = await attempt('reboot', { ...recordedCall([]), patience: { stepMs: { waiting: 9000 } } });
    failed(tried, 'never-rebooted');
    like(tried, '23-never-reboots');
  });

  test('a link that dies in silence ends at the deadline of its step', { timeout }, async () => {
    await target.reset([key.publicKey]);
    try {
      const tried = await attempt('disko', {
        system: 'slow',
        patience: { stepMs: { disko: 8000 } },
        on: (event) => {
          if (event.kind === 'line' && event.text === 'formatting 2/9') void target.cable(false);
        },
      });
      const result = failed(tried, 'too-slow');
      assert.ok(result.seconds < 60);
    } finally {
      await target.cable(true);
    }
  });

  test('cancel in install leaves no remote nixos-install', { timeout }, async () => {
    await target.reset([key.publicKey], { slowInstall: true });
    const abort = new AbortController();
    const tried = await attempt('install', {
      signal: abort.signal,
      on: (event) => {
        if (event.kind === 'line' && event.text === 'installing step 2/15') {
          assert.ok(target.running('nixos-install').length > 0);
          abort.abort();
        }
      },
    });
    failed(tried, 'canceled');
    await until('no nixos-install', () => target.running('nixos-install').length === 0);
    assert.equal(
      await target.inside('ls /mnt/etc/NIXOS 2> /dev/null || echo none'),
      'none\n',
      'it did not end by itself',
    );
  });

  test('a child that is killed from outside leaves no key and no ssh', { timeout }, async () => {
    await target.reset([key.publicKey]);
    const folder = await makeRunFolder(state);
    let keysSeen = 0;
    const tried = await attempt('disko', {
      folder,
      system: 'slow',
      on: at('disko', (child) => {
        for (const name of readdirSync(folder.tmp))
          if (existsSync(join(folder.tmp, name, 'nixos-anywhere'))) keysSeen++;
        process.kill(child.pid!, 'SIGKILL');
      }),
    });
    failed(tried, 'broken');
    assert.equal(keysSeen, 1, 'there was a key to leave');
  });

  test('disk keys and owners arrive, and only their names are printed', { timeout }, async () => {
    await target.reset([key.publicKey]);
    const local = join(state, 'disk-key');
    writeFileSync(local, 'correct horse', { mode: 0o600 });
    const staging = join(state, 'owned');
    mkdirSync(join(staging, 'srv/data'), { recursive: true });
    const more = [
      '--disk-encryption-keys',
      '/run/keys/disk',
      local,
      '--extra-files',
      staging,
      '--chown',
      'srv/data',
      '1234:5678',
    ];
    const tried = await attempt('disko', recordedCall(['disko', 'install'], more));
    good(tried);
    assert.ok(headings(tried.texts).includes(`### Uploading ${local} to /run/keys/disk ###`));
    assert.ok(!tried.texts.join('\n').includes('correct horse'));
    assert.equal(
      await target.inside('stat -c %a /run/keys /run/keys/disk; cat /run/keys/disk'),
      '700\n600\ncorrect horse',
    );
    assert.equal((await target.inside('stat -c %u:%g /mnt/srv/data')).trim(), '1234:5678');
  });

  test('a build error shows before any contact, an evaluation error after the facts', { timeout }, async () => {
    const call = (name: string, how: string) => ({
      change: (plan: PhasePlan): PhasePlan => ({
        ...plan,
        argv: [
          '--flake',
          `path:${target.flake}#${name}`,
          '--build-on',
          how,
          ...plan.argv.slice(plan.argv.indexOf('--phases')),
        ],
      }),
    });
    await target.reset([key.publicKey]);
    const local = await attempt('disko', call('unbuildable', 'local'));
    assert.equal(!local.result.ok && local.result.status, 1);
    assert.deepEqual(local.commands, []);
    assert.ok(local.texts.some((text) => text.includes('failed with exit code 3')));
    const auto = await attempt('disko', call('throws', 'auto'));
    assert.equal(!auto.result.ok && auto.result.status, 1);
    assert.deepEqual(plain(auto.commands), ['exit', 'enableDebug= sh --']);
  });
});
