// The binary cache with real nix: nixos-anywhere's own copy takes all from it, and each way in which a cache can be wrong ends in a push and an
// install that succeeds. The settings are those that the agent writes.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before, describe } from 'node:test';
import { cacheSettings } from '../../agent/src/use-cache.ts';
import { type Copied, complains } from '../../controller/src/core/cache-offer.ts';
import { makeRunFolder } from '../../controller/src/install/folders.ts';
import { type KeyPair, keygen, makeKey } from '../../controller/src/install/keys.ts';
import { type Phase, planPhase } from '../../controller/src/install/plan.ts';
import type { PhaseEvent } from '../../controller/src/install/progress.ts';
import { runPhase } from '../../controller/src/install/run.ts';
import { writeShim } from '../../controller/src/install/shim.ts';
import { type Child, start } from '../lab/child.ts';
import { needNetns, needPrograms, skipUnless } from '../lab/need.ts';
import {
  controllerAddress,
  deadAddress,
  makeTarget,
  type Target,
  type ToySystem,
  targetAddress,
} from '../lab/nixos-anywhere/target.ts';
import { until } from '../lab/patience.ts';

const skip = skipUnless(
  needNetns,
  needPrograms(['nix', 'nix-store', 'ssh', 'sshd', 'ssh-copy-id', 'ssh-keygen', 'unshare', 'nsenter', 'busybox']),
);
const searchPath = '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin';
const serveCache = new URL('../lab/nixos-anywhere/serve-cache.ts', import.meta.url).pathname;
const timeout = 400_000;
const port = 7480;

describe('the binary cache', { skip, timeout: 1_800_000 }, () => {
  let target: Target;
  let system: ToySystem;
  let key: KeyPair;
  let state: string;

  before(async () => {
    state = mkdtempSync(join(tmpdir(), 'nixie-cache-'));
    key = await makeKey(state, 'run', 'nixie-run', keygen(searchPath));
    target = await makeTarget();
    // As the installer image has it: what the memory holds is taken from there.
    writeFileSync(
      join(target.folder, 'target/conf/nix.conf'),
      'experimental-features = nix-command flakes\nsandbox = false\nbuild-users-group =\nsubstituters = auto?trusted=1\nfsync-metadata = false\n',
    );
    system = (await target.build(['m1'])).m1!;
  });
  after(async () => {
    await target?.close();
    if (state !== undefined) rmSync(state, { recursive: true, force: true });
  });

  interface Cache {
    readonly publicKey: string;
    stop(): Promise<{ narInfos: number; nars: number; asked: number; crossed: number }>;
  }
  async function startCache(lie: string): Promise<Cache> {
    let publicKey: string | undefined;
    let served = '{}';
    const argv = [
      target.inStore,
      process.execPath,
      serveCache,
      controllerAddress,
      String(port),
      join(state, 'cache-key'),
    ];
    const child: Child = start([...argv, lie, system.toplevel, system.disko], {
      deadlineMs: timeout,
      env: { ...process.env, ...target.env },
      onLine: (line) => {
        publicKey ??= / by (\S+)$/.exec(line)?.[1];
        served = /^served (.*)$/.exec(line)?.[1] ?? served;
      },
    });
    await until('the cache', () => publicKey !== undefined);
    return {
      publicKey: publicKey!,
      async stop() {
        await child.stop(30_000);
        return JSON.parse(served);
      },
    };
  }
  async function settings(publicKey: string, address = controllerAddress): Promise<void> {
    const lines = cacheSettings({ port, path: '/nix', publicKey }, `${address}:7481`);
    await target.inside(
      `mkdir -p /root/.config/nix; printf '%s\\n' ${lines.map((line) => `'${line}'`).join(' ')} > /root/.config/nix/nix.conf`,
    );
  }

  interface Told {
    readonly copied: Copied;
    readonly texts: readonly string[];
    readonly shares: readonly number[];
    readonly seconds: number;
  }
  async function attempt(phase: Phase): Promise<Told> {
    const folder = await makeRunFolder(state);
    const texts: string[] = [];
    const copied: Copied = { fetched: 0, pushed: 0 };
    const shares: number[] = [];
    try {
      await writeShim({ folder: folder.shim, realSsh: target.ssh, hostKeys: [target.hostKey] });
      const plan = planPhase({
        phase,
        host: 'm1',
        address: targetAddress,
        program: target.program,
        ...system,
        keyFile: key.privateFile,
        paths: folder,
        searchPath,
        env: target.env,
      });
      const onEvent = (event: PhaseEvent): void => {
        if (event.kind === 'line') {
          texts.push(event.text);
          complains(copied, event.text);
        }
        if (event.kind !== 'copy') return;
        Object.assign(copied, { fetched: event.fetched, pushed: event.pushed });
        shares.push(event.doneBytes);
      };
      const result = await runPhase({ plan, address: targetAddress, onEvent });
      assert.ok(result.ok, `${JSON.stringify(result)}\n${texts.join('\n')}`);
      return { copied, texts, shares, seconds: result.seconds };
    } finally {
      await folder.remove();
    }
  }
  /** A machine that has just booted: nothing in its memory's store but what another test may have left. */
  async function fresh(): Promise<void> {
    await target.reset([key.publicKey]);
    await target.inside('rm -rf /root/.cache /root/.config; chmod -R u+w /nix/store; rm -rf /nix/store/* /nix/var');
  }
  async function install(): Promise<{ disko: Told; install: Told }> {
    const told = { disko: await attempt('disko'), install: await attempt('install') };
    assert.equal((await target.inside('readlink /mnt/nix/var/nix/profiles/system')).trim(), system.toplevel);
    const verify = `nix store verify -r --no-trust --store 'local?root=/mnt' ${system.toplevel}`;
    await target.inside(`NIX_CONF_DIR='${join(target.folder, 'target/conf')}' ${verify}`);
    return told;
  }

  test('all paths are fetched, none is pushed, and each is fetched once', { timeout }, async () => {
    await fresh();
    const cache = await startCache('none');
    await settings(cache.publicKey);
    const { disko, install: copy } = await install();
    const served = await cache.stop();
    // The folder of busybox is in both closures, and the second time it lies in memory.
    assert.deepEqual(
      [disko.copied, copy.copied],
      [
        { fetched: 2, pushed: 0 },
        { fetched: 2, pushed: 0 },
      ],
    );
    assert.equal(served.nars, 4);
    assert.ok(copy.texts.some((text) => /^copying path '\/nix\/store\/.*-bin' to 'local'\.\.\.$/.test(text)));
    assert.ok(copy.texts.includes('copying 0 paths...'));
  });

  test('a relay serves the same, and each path crosses its uplink once', { timeout }, async () => {
    const cache = await startCache('relay');
    for (let machine = 0; machine < 2; machine++) {
      await fresh();
      await settings(cache.publicKey);
      const told = await install();
      assert.deepEqual(
        [told.disko.copied, told.install.copied],
        [
          { fetched: 2, pushed: 0 },
          { fetched: 2, pushed: 0 },
        ],
      );
    }
    assert.equal((await cache.stop()).crossed, 8, 'four descriptions and four archives');
  });

  // What nix says, and how many of the four paths come how.
  const lies: [lie: string, what: string, complaint: RegExp | undefined, pushed: [disko: number, install: number]][] = [
    ['signature', 'signed by another key', /not signed by any of the keys/, [2, 2]],
    ['bytes', 'one byte is another', /hash mismatch/, [2, 2]],
    ['truncated', 'half of each path', /unable to download/, [2, 2]],
    ['one', 'one path that can not be had', /hash mismatch/, [1, 0]],
    ['dies', 'it ends in the middle', /disabling binary cache|unable to download/, [0, 2]],
    ['missing', 'it has none of the paths', undefined, [2, 2]],
  ];
  for (const [lie, what, complaint, pushed] of lies) {
    test(`${what}: it is pushed, and the install succeeds`, { timeout }, async () => {
      await fresh();
      const cache = await startCache(lie);
      await settings(cache.publicKey);
      const told = await install();
      await cache.stop();
      assert.deepEqual([told.disko.copied.pushed, told.install.copied.pushed], pushed, told.install.texts.join('\n'));
      const complaints = [told.disko, told.install].flatMap(({ copied }) => copied.complaint ?? []);
      if (complaint === undefined) assert.deepEqual(complaints, []);
      else assert.match(complaints[0] ?? told.disko.texts.join('\n'), complaint);
      for (const { shares } of Object.values(told))
        assert.deepEqual(
          shares,
          [...shares].sort((a, b) => a - b),
          'never backwards',
        );
    });
  }

  test('nobody answers at its port, or at its address: a push that begins within seconds', { timeout }, async () => {
    const cache = await startCache('none');
    await cache.stop();
    for (const address of [controllerAddress, deadAddress]) {
      await fresh();
      await settings(cache.publicKey, address);
      const { disko, install: copy } = await install();
      assert.deepEqual([disko.copied.pushed, copy.copied.pushed], [2, 2]);
      assert.ok(disko.seconds + copy.seconds < 100, `${disko.seconds} s and ${copy.seconds} s`);
      assert.match(disko.copied.complaint ?? '', /unable to download|disabling binary cache/);
    }
  });
});
