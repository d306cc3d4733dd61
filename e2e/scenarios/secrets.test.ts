// An encrypted root whose key is given to Nixie, and files of the installed system from every source that needs no terminal: each value arrives
// where it belongs, and stands nowhere else.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, openSync, readdirSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { run as runProgram } from '../lab/child.ts';
import { resultsOf } from '../lab/later-runs.ts';
import { filesWithMarks, makeMark, marksIn, watchProcesses } from '../lab/marks.ts';
import { skipUnless } from '../lab/need.ts';
import { onMachine } from '../lab/proof.ts';
import { inScene, installLab, installLimitMs, programsLeft } from '../lab/scenario.ts';
import { runArguments } from '../lab/supplies.ts';

test('an encrypted root is installed and unlocked, and no secret is seen elsewhere', {
  skip: skipUnless(...installLab),
  timeout: 2 * installLimitMs,
}, async (t) => {
  const marks = {
    disk: makeMark('disk'),
    careless: makeMark('careless'),
    file: makeMark('file'),
    env: makeMark('env'),
    command: makeMark('command'),
  };
  const machines = [{ name: 'machine1', firmware: 'uefi', bootOrder: 'disk-first' }] as const;
  await inScene({ machines, encrypted: ['machine1'], dhcp: 'none', ra: true }, async (scene) => {
    const { lab, supplies, knownHosts } = scene;
    const machine = lab.machines.machine1!;
    const began = Math.floor(Date.now() / 1000) - 1;
    const sources = join(lab.folder, 'sources');
    mkdirSync(sources);
    writeFileSync(join(sources, 'disk'), marks.disk, { mode: 0o600 });
    writeFileSync(join(sources, 'careless'), `${marks.careless}\n`, { mode: 0o600 });
    writeFileSync(join(sources, 'file'), `first line\n${marks.file}\n`, { mode: 0o600 });
    writeFileSync(join(sources, 'a command'), `${marks.command}\n`, { mode: 0o600 });
    const hosts = lab.writeHosts(['machine1'], {
      machine1: {
        secrets: {
          disk_keys: { '/tmp/disk.key': 'file:sources/disk', '/tmp/careless.key': 'command:cat sources/careless' },
          files: {
            '/etc/marked/file': 'file:sources/file',
            '/etc/marked/env': { source: 'env:NIXIE_MARKED', mode: '0440', owner: '0:996' },
            '/var/lib/private/marked': { source: "command:cat 'sources/a command'", mode: '0400', owner: '990:996' },
          },
        },
      },
    });
    const args = [...runArguments(supplies, hosts, knownHosts), ...scene.args.slice(scene.args.indexOf('--dhcp'))];

    await t.test('the search finds what is there', async () => {
      const planted = join(lab.folder, 'planted');
      mkdirSync(planted);
      const ways: Record<string, string> = {
        raw: marks.disk,
        hex: Buffer.from(marks.env).toString('hex'),
        base64: Buffer.from(`user:${marks.command}:x`).toString('base64'),
      };
      for (const [name, text] of Object.entries(ways)) writeFileSync(join(planted, name), `a ${text} b\n`);
      writeFileSync(join(planted, 'zeros'), Buffer.concat([Buffer.alloc(1 << 20), Buffer.from(marks.file)]));
      assert.deepEqual(
        (await filesWithMarks([planted], marks)).sort(),
        readdirSync(planted)
          .map((name) => join(planted, name))
          .sort(),
      );
      assert.deepEqual(await filesWithMarks([join(planted, 'zeros')], marks, { zeros: true }), [
        join(planted, 'zeros'),
      ]);
      assert.deepEqual(marksIn(ways.base64!, marks), ['command']);
      await runProgram(['rm', '-r', planted]);
    });

    const watch = watchProcesses(marks);
    const run = lab.runNixie([...args, '--debug'], {
      nix: supplies.nix,
      deadlineMs: installLimitMs,
      env: { NIXIE_MARKED: marks.env },
    });
    let watched: ReturnType<typeof watch.stop>;
    let midway: string[] = [];
    try {
      await run.waitEvent((event) => event.event === 'stage' && event.stage === 'copy', installLimitMs);
      midway = await filesWithMarks([lab.folder], marks, { exclude: ['sources', 'disk.raw'] });

      await run.waitEvent((event) => event.event === 'stage' && event.stage === 'proving', installLimitMs);
      const asked = machine.serial.length;
      await t.test('a wrong passphrase does not unlock it', async () => {
        await machine.waitSerial(/NIXIE-STAGE passphrase/, installLimitMs);
        machine.type('wrong-passphrase\n');
        await machine.waitSerial(/NIXIE-STAGE locked tries=1/, installLimitMs);
        assert.ok(!machine.serial.slice(asked).some((line) => /NIXIE-STAGE (stage-2|booted)/.test(line.text)));
      });
      machine.type(`${marks.disk}\n`);
      assert.equal(await run.status(), 0, run.tail(20));
    } finally {
      watched = watch.stop();
    }
    const [result] = resultsOf(run);
    assert.equal(result?.result, 'proved');
    const ask = async (command: string) =>
      (await onMachine(lab, supplies, { address: result!.address!, knownHosts }, command)).stdout.trim();

    await t.test('its root is on LUKS', async () => {
      assert.match(await ask('cat /sys/block/dm-0/dm/uuid'), /^CRYPT-LUKS2-[0-9a-f]+-cryptroot$/);
      assert.match(await ask('grep " / " /proc/mounts | tail -n 1'), /^\/dev\/(mapper\/cryptroot|dm-0) \/ ext4 /);
      const table = JSON.parse((await runProgram(['sfdisk', '--json', machine.disk])).stdout) as {
        partitiontable: { partitions: { name?: string; start: number }[] };
      };
      const root = table.partitiontable.partitions.find(({ name }) => name === 'disk-main-root')!;
      const head = Buffer.alloc(8);
      readSync(openSync(machine.disk, 'r'), head, 0, 8, root.start * 512);
      assert.equal(head.toString('latin1'), 'LUKS\xba\xbe\x00\x02'); // magic and version of LUKS2's header
    });

    await t.test('each file is on the machine, with its content, mode and owner', async () => {
      const places = ['/etc/marked/file', '/etc/marked/env', '/var/lib/private/marked'];
      assert.deepEqual(
        (await ask(`stat -c '%a %u:%g %n' /etc /etc/marked /var/lib/private ${places.join(' ')}`)).split('\n'),
        [
          '755 0:0 /etc',
          '755 0:0 /etc/marked',
          '700 0:0 /var/lib/private',
          '600 0:0 /etc/marked/file',
          '440 0:996 /etc/marked/env',
          '400 990:996 /var/lib/private/marked',
        ],
      );
      const sums = (await ask(`sha256sum ${places.join(' ')}`)).split('\n').map((line) => line.split(' ')[0]);
      const wanted = [`first line\n${marks.file}\n`, marks.env, `${marks.command}\n`];
      assert.deepEqual(
        sums,
        wanted.map((text) => createHash('sha256').update(text).digest('hex')),
      );
    });

    await t.test('no secret is anywhere else', async () => {
      assert.deepEqual(marksIn(run.lines.join('\n'), marks), [], 'what nixie printed');
      assert.ok(run.lines.length > 100 && run.lines.some((line) => line.includes('/dev/fd/3')), 'it printed a lot');
      const repeated = run.lines.filter((line) => line.includes('[disk key /tmp/careless.key of machine1]'));
      assert.equal(
        repeated.length,
        2,
        `what the disko script repeats, plain and in base64, is masked: ${repeated.join()}`,
      );
      assert.ok(!run.lines.some((line) => /nixie\.token=[0-9a-f]/.test(line)), 'boot tokens');
      assert.deepEqual(marksIn(machine.serial.map((line) => line.text).join('\n'), marks), [], 'the serial line');
      assert.deepEqual(marksIn(await ask('cat /proc/cmdline'), marks), [], 'kernel command line');
      assert.deepEqual(midway, [], 'files of the run while it copied');
      // State, journal, capture of the LAN, serial log, keys, NVRAM.
      assert.deepEqual(
        await filesWithMarks([lab.folder], marks, { exclude: ['sources', 'disk.raw'] }),
        [],
        'files of the run',
      );
      assert.deepEqual(
        await filesWithMarks([machine.disk], marks, { zeros: true }),
        [],
        'the disk, whose root is encrypted',
      );
      assert.deepEqual(await filesWithMarks(['/dev/shm'], marks), [], 'memory');
      const store = supplies.onHost('/nix/store/x').replace(/\/x$/, '');
      const found = await runProgram(
        [
          'find',
          store,
          '/tmp',
          '/var/tmp',
          '/run',
          '-xdev',
          '-type',
          'f',
          '-newerct',
          `@${began}`,
          '-size',
          '-65536k',
          '-not',
          '-path',
          `${lab.folder}/*`,
        ],
        { accept: true, deadlineMs: 120_000 },
      );
      assert.deepEqual(
        await filesWithMarks(
          found.stdout
            .split('\n')
            .filter((path) => path !== '')
            .slice(0, 20_000),
          marks,
        ),
        [],
        'new files of the store and of temporary folders',
      );
      assert.equal(
        await ask('ls /tmp/disk.key /tmp/careless.key 2>/dev/null | wc -l'),
        '0',
        'keys of disks on the installed machine',
      );

      assert.ok(watched.looks > 50, `${watched.looks} looks at all processes`);
      const holders = watched.seen.filter((each) => each.where === 'environ');
      // The one that was given the variable: ip, setpriv, unshare and sh become it. A child that is forked and has not yet become its own
      // program still looks like it.
      const nixie = holders.find((each) => each.program.includes('nixie.js'));
      assert.ok(nixie !== undefined);
      const words = nixie.program.slice(nixie.program.indexOf('nixie.js'));
      // Before Nixie begins sh gives it the lab's store.
      const ofLab = /^(?:mkdir -p|mount --bind \S+) \/nix$/;
      assert.deepEqual(
        holders.filter(({ program }) => !program.endsWith(words) && !ofLab.test(program)),
        [],
      );
      assert.ok(holders.every((each) => each.marks.join() === 'env'));
      assert.deepEqual(
        watched.seen.filter((each) => each.where === 'cmdline'),
        [],
      );
    });
    assert.deepEqual(await programsLeft(lab.net.srv), [], 'nothing of nixie runs on');
  });
});
