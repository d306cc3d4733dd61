// One login for all the ssh of a phase, against a real sshd, and what becomes of a phase that can't have it or loses it.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before, describe } from 'node:test';
import { makeRunFolder } from '../../controller/src/install/folders.ts';
import { type KeyPair, keygen, makeKey } from '../../controller/src/install/keys.ts';
import { openMaster } from '../../controller/src/install/master.ts';
import { type Phase, planPhase } from '../../controller/src/install/plan.ts';
import type { PhaseEvent } from '../../controller/src/install/progress.ts';
import { runPhase } from '../../controller/src/install/run.ts';
import { writeShim } from '../../controller/src/install/shim.ts';
import { run } from '../lab/child.ts';
import { needNetns, needPrograms, skipUnless } from '../lab/need.ts';
import { deadAddress, makeTarget, type Target, type ToySystem, targetAddress } from '../lab/nixos-anywhere/target.ts';

const skip = skipUnless(
  needNetns,
  needPrograms(['nix', 'nix-store', 'ssh', 'sshd', 'ssh-copy-id', 'ssh-keygen', 'unshare', 'nsenter', 'busybox']),
);
const searchPath = '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin';
const timeout = 300_000;

describe('one login for a phase', { skip, timeout: 1_200_000 }, () => {
  let target: Target;
  let systems: Record<string, ToySystem>;
  let key: KeyPair;
  let state: string;

  before(async () => {
    state = mkdtempSync(join(tmpdir(), 'nixie-login-'));
    key = await makeKey(state, 'run', 'nixie-run', keygen(searchPath));
    target = await makeTarget();
    systems = await target.build(['m1', 'slow']);
  });
  after(async () => {
    await target?.close();
    if (state !== undefined) rmSync(state, { recursive: true, force: true });
  });

  async function attempt(
    phase: Phase,
    given: {
      hostKey?: string;
      address?: string;
      system?: string;
      on?: (event: PhaseEvent, controlPath: string) => void;
    } = {},
  ) {
    const folder = await makeRunFolder(state);
    const controlPath = join(folder.keys, 'login');
    const address = given.address ?? targetAddress;
    try {
      const hostKeys = [given.hostKey ?? target.hostKey];
      await writeShim({
        folder: folder.shim,
        realSsh: target.ssh,
        hostKeys,
        controlPath,
        connectTimeoutSeconds: 3,
      });
      const master = await openMaster({
        realSsh: target.ssh,
        knownHosts: join(folder.shim, 'known_hosts'),
        keyFile: key.privateFile,
        address,
        controlPath,
        searchPath,
        patienceMs: 30_000,
      });
      try {
        const plan = planPhase({
          phase,
          host: 'm1',
          address,
          program: target.program,
          ...systems[given.system ?? 'm1']!,
          keyFile: key.privateFile,
          paths: folder,
          searchPath,
          env: target.env,
          patience: { stepMs: { keys: given.address === undefined ? 60_000 : 10_000 } },
        });
        const result = await runPhase({
          plan,
          address,
          login: master,
          onEvent: (event) => given.on?.(event, controlPath),
        });
        return { open: master.open, result, said: result.tail.join('\n') };
      } finally {
        master.close();
      }
    } finally {
      await folder.remove();
      assert.ok(!existsSync(controlPath));
    }
  }

  test('disko and install: the same commands arrive, through one login each', { timeout }, async () => {
    await target.reset([key.publicKey]);
    const disko = await attempt('disko');
    assert.ok(disko.open && disko.result.ok, disko.said);
    assert.deepEqual(target.commands(), ['exit', 'enableDebug= sh --', 'nix-store --serve --write', systems.m1!.disko]);
    const first = target.logins();
    const install = await attempt('install');
    assert.ok(install.open && install.result.ok, install.said);
    // nix makes a login of its own where it waits for a word of it (2.9 and later).
    for (const logins of [first, target.logins() - first]) assert.ok(logins === 1 || logins === 2, `${logins} logins`);
  });

  test('another machine at the address: there is no login to share, and nothing reaches it', { timeout }, async () => {
    await target.reset([key.publicKey]);
    const { open, result } = await attempt('disko', { hostKey: key.publicKey });
    assert.equal(open, false);
    assert.ok(!result.ok);
    assert.equal(result.cause, 'other-machine');
    assert.deepEqual([target.logins(), target.commands()], [0, []]);
  });

  test('nobody at the address: the phase says so', { timeout }, async () => {
    await target.reset([key.publicKey]);
    const { open, result } = await attempt('disko', { address: deadAddress });
    assert.equal(open, false);
    assert.equal(!result.ok && result.cause, 'unreachable');
  });

  for (const [who, cut] of [
    ['machine', () => target.killSessions()],
    [
      'controller',
      async (controlPath: string) => {
        const found = await run(['pgrep', '-f', `ControlMaster=yes .*${controlPath}`]);
        for (const pid of found.stdout.trim().split('\n')) process.kill(Number(pid), 'SIGKILL');
      },
    ],
  ] as const)
    test(`the login is lost on the side of the ${who} in the middle of disko: a lost connection`, {
      timeout,
    }, async () => {
      await target.reset([key.publicKey]);
      let cutAt: number | undefined;
      const { open, result, said } = await attempt('disko', {
        system: 'slow',
        on: (event, controlPath) => {
          // What the machine says itself: by then the ssh of the step shares the login.
          if (event.kind !== 'line' || !event.text.startsWith('formatting ') || cutAt !== undefined) return;
          cutAt = performance.now();
          void cut(controlPath);
        },
      });
      const seconds = (performance.now() - cutAt!) / 1000;
      assert.ok(open && !result.ok, said);
      assert.deepEqual([result.step, result.cause], ['disko', 'connection-lost'], said);
      assert.ok(seconds < 60, `${seconds} s`);
    });
});
