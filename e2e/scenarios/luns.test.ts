// A LUN over two ways, shown by a real kernel: one disk, with and without a device that joins its ways; and that device hanging.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { readInventoryJson } from '@nixie/proto/inventory-json';
import { buildAgent } from '../../agent/build.mjs';
import { judgeDisks } from '../../controller/src/machine/disks.ts';
import type { Host } from '../../controller/src/machine/host.ts';
import type { Mac } from '../../controller/src/machine/mac.ts';
import { run, stopAll } from '../lab/child.ts';
import { freePort } from '../lab/free-port.ts';
import { prepareLab } from '../lab/image/build.ts';
import { powerOn, soloHardware, soloLun } from '../lab/image/solo.ts';
import { needFiles, needMemory, needPrograms, needRoot, skipUnless } from '../lab/need.ts';

const skip = skipUnless(
  needRoot,
  needPrograms(['qemu-system-x86_64', 'nix', 'apt-get', 'dpkg-deb', 'unshare', 'ssh', 'ssh-keygen', 'truncate']),
  needFiles(['/usr/share/OVMF/OVMF_CODE_4M.fd', '/usr/share/OVMF/OVMF_VARS_4M.fd']),
  needMemory(3072),
);
const stageMs = 180_000;
const lunBytes = 5 * 2 ** 30;

const host: Host = {
  name: 'solo',
  flakeAttr: 'solo',
  macs: [soloHardware.mac as Mac],
  system: 'x86_64-linux',
  tags: [],
  boot: [],
  expectDisks: [],
  wipe: false,
  disk: { minSizeBytes: lunBytes },
};

test('a LUN over two ways is one disk, which nobody writes to by a way', { skip, timeout: 600_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-lun-'));
  try {
    const key = join(folder, 'key');
    const lun = join(folder, 'lun.raw');
    await run(['truncate', '-s', String(lunBytes), lun]);
    const lab = await prepareLab({ machines: 1, agent: (await buildAgent()).path });
    await lab.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'test of LUNs', '-f', key]);
    const values = `cs: let i = cs.installer.config.system.build; in { drvs = map (d: d.drvPath) [ i.toplevel i.kernel i.netbootRamdisk ];
      kernel = "\${i.kernel}/\${cs.installer.config.system.boot.loader.kernelFile}"; initrd = "\${i.netbootRamdisk}/initrd";
      toplevel = i.toplevel.outPath; }`;
    const eval_ = ['nix', 'eval', '--json', `${lab.flake}#nixosConfigurations`, '--apply', values];
    const made = JSON.parse(await lab.run(eval_)) as Record<'kernel' | 'initrd' | 'toplevel', string> & {
      drvs: string[];
    };
    await lab.run(['nix-store', '--realise', ...made.drvs]);
    const params = readFileSync(lab.onHost(`${made.toplevel}/kernel-params`), 'utf8');
    const word = `nixie.lab_key=${Buffer.from(readFileSync(`${key}.pub`)).toString('base64')}`;
    const sshPort = await freePort();
    const machine = await powerOn({
      folder,
      firmware: 'uefi',
      sshPort,
      diskSerial: 'NIXIE1',
      lun,
      deadlineMs: 500_000,
      kernel: {
        kernel: lab.onHost(made.kernel),
        initrd: lab.onHost(made.initrd),
        words: `init=${made.toplevel}/init ${params} ${word}`,
      },
    });
    await machine.seen(/NIXIE-STAGE sshd/, stageMs);
    const options = [
      '-F',
      '/dev/null',
      '-i',
      key,
      '-p',
      String(sshPort),
      '-o',
      'BatchMode=yes',
      '-o',
      'LogLevel=ERROR',
    ];
    options.push('-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', '-o', 'ConnectTimeout=30');
    const ssh = async (command: string): Promise<string> =>
      (await lab.run(['ssh', ...options, 'root@127.0.0.1', command], { deadlineMs: stageMs })).trim();
    const inventory = async () => readInventoryJson(await ssh('udevadm settle; nixie-agent --inventory'));
    const sizes = await ssh('lsblk -dbno NAME,SIZE /dev/sda /dev/sdb');
    assert.deepEqual(
      sizes.split('\n').map((line) => line.split(/\s+/)),
      [
        ['sda', String(lunBytes)],
        ['sdb', String(lunBytes)],
      ],
    );

    const bare = await inventory();
    assert.deepEqual(
      bare.disks.map(({ serial, paths }) => [serial, paths.map(({ name, state }) => `${name} ${state}`).sort()]),
      [
        ['NIXIE1', []],
        [soloLun.serial, ['sda running', 'sdb running']],
      ],
    );
    // By their places on the bus; which of the two the kernel finds first, and calls sda, is not said.
    const ways = bare.disks[1]!.paths.map(({ name }) => name);
    assert.deepEqual([bare.disks[0]?.path, bare.disks[1]?.path], ['/dev/vda', `/dev/${ways[0]}`]);
    assert.deepEqual([bare.disks[1]?.wwn, bare.disks[1]?.hasData], [soloLun.wwn, false]);
    const refused = judgeDisks(host, ['/dev/nixie/disk'], bare, bare, { loseData: true });
    assert.match(
      refused.ok ? 'free' : refused.reasons.join('; '),
      new RegExp(`reached over 2 ways \\(${ways.join(', ')}\\), and no multipath`),
    );

    // multipathd would make a table of both ways; what the agent knows such a device by is its uuid.
    const table = `0 ${lunBytes / 512} linear /dev/sda 0`;
    await ssh(`modprobe dm_mod; dmsetup create mpatha --uuid mpath-3600140500000a1b2 --table '${table}'`);
    const joined = await inventory();
    const [, disk] = joined.disks;
    assert.deepEqual(
      [disk?.path, disk?.multipath, disk?.serial, disk?.wwn, disk?.hasData, disk?.inUse, disk?.paths.length],
      ['/dev/mapper/mpatha', 'mpatha', soloLun.serial, soloLun.wwn, false, false, 2],
    );
    assert.equal(joined.disks.length, 2);
    assert.equal(joined.hardwareSha256, bare.hardwareSha256);
    const free = judgeDisks(host, ['/dev/nixie/disk'], bare, joined, { loseData: false });
    assert.equal(free.ok && free.hinted?.path, '/dev/mapper/mpatha');

    // A device whose ways have all gone answers nothing; the other disk is told all the same.
    await ssh('dmsetup suspend --noflush mpatha');
    // It tells what it has in time; that it can't end before its read does is the kernel's doing.
    const told = '/run/stuck.json';
    await ssh(`nohup nixie-agent --inventory > ${told} 2> /dev/null < /dev/null &`);
    const seconds = '$(seq 60)';
    const stuck = readInventoryJson(
      await ssh(
        `for i in ${seconds}; do sleep 1; if [ "$(tail -n 1 ${told})" = "}" ]; then break; fi; done; cat ${told}`,
      ),
    );
    const of = (path: string) => stuck.disks.find((each) => each.path === path);
    assert.deepEqual([of('/dev/vda')?.hasData, of('/dev/mapper/mpatha')?.hasData], [false, undefined]);
    assert.ok(
      stuck.errors.some(
        ({ section, path, code }) => `${section} ${path} ${code}` === 'disks /dev/mapper/mpatha deadline',
      ),
    );
    await ssh('dmsetup resume mpatha');
  } finally {
    await stopAll();
    rmSync(folder, { recursive: true, force: true });
  }
});
