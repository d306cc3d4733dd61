// The lab's images by themselves: the installer boots, the phases of an install are done by hand over ssh, the machine boots its disk.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { buildAgent } from '../../agent/build.mjs';
import { stopAll } from '../lab/child.ts';
import { freePort } from '../lab/free-port.ts';
import { type Lab, prepareLab } from '../lab/image/build.ts';
import { checkInventory } from '../lab/image/inventory-check.ts';
import { powerOn, soloHardware } from '../lab/image/solo.ts';
import { needFiles, needMemory, needPrograms, needRoot, skipUnless } from '../lab/need.ts';

const needs = [
  needRoot,
  needPrograms(['qemu-system-x86_64', 'nix', 'apt-get', 'dpkg-deb', 'unshare', 'ssh', 'ssh-keygen', 'truncate']),
  needFiles(['/usr/share/OVMF/OVMF_CODE_4M.fd', '/usr/share/OVMF/OVMF_VARS_4M.fd']),
  needMemory(4096),
];
const limitMs = 1_800_000;
/** many times what a stage takes on an idle computer with two cores: beside other machines that are emulated it takes several times that */
const stageMs = 600_000;

interface Made {
  kernel: { kernel: string; initrd: string; words: string };
  toplevel: string;
  disko: string;
}

/** Evaluates the flake as the controller does and builds what it names. */
async function build(lab: Lab, machine: string): Promise<Made> {
  const values = `cs: let i = cs.installer.config; m = cs.${machine}.config; in {
    drvs = map (d: d.drvPath) [ i.system.build.kernel i.system.build.netbootRamdisk i.system.build.toplevel m.system.build.toplevel
      m.system.build.diskoScript i.system.build.nixie ];
    kernel = "\${i.system.build.kernel}/\${i.system.boot.loader.kernelFile}";
    initrd = "\${i.system.build.netbootRamdisk}/initrd";
    installer = i.system.build.toplevel.outPath; bundle = i.system.build.nixie.outPath;
    toplevel = m.system.build.toplevel.outPath; disko = m.system.build.diskoScript.outPath;
    disk = m.disko.devices.disk.main.device; names = [ i.networking.hostName m.networking.hostName ];
    systems = [ i.nixpkgs.hostPlatform.system m.nixpkgs.hostPlatform.system ];
  }`;
  const found = JSON.parse(
    await lab.run(['nix', 'eval', '--json', `${lab.flake}#nixosConfigurations`, '--apply', values]),
  ) as Record<string, string> & { drvs: string[]; names: string[]; systems: string[] };
  assert.equal(found.disk, '/dev/disk/by-id/virtio-NIXIE1');
  assert.deepEqual(found.names, ['nixie-installer', machine]);
  assert.deepEqual(found.systems, ['x86_64-linux', 'x86_64-linux']);
  await lab.run(['nix-store', '--realise', ...found.drvs]);
  const inBundle = (name: string): Promise<string> => lab.run(['readlink', '-f', `${found.bundle}/${name}`]);
  assert.equal((await inBundle('initrd')).trim(), found.initrd);
  assert.equal((await inBundle('kernel')).trim(), found.kernel);
  const params = readFileSync(lab.onHost(`${found.installer}/kernel-params`), 'utf8');
  return {
    kernel: {
      kernel: lab.onHost(found.kernel!),
      initrd: lab.onHost(found.initrd!),
      words: `init=${found.installer}/init ${params}`,
    },
    toplevel: found.toplevel!,
    disko: found.disko!,
  };
}

async function installByHand(t: TestContext, firmware: 'uefi' | 'bios'): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), `nixie-image-${firmware}-`));
  const clock = performance.now();
  const told = (what: string, since = clock): void =>
    t.diagnostic(`${firmware}: ${what} ${((performance.now() - since) / 1000).toFixed(1)} s`);
  try {
    const key = join(folder, 'key');
    const keygen = ['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'test of the images', '-f', key];
    const { path: agent } = await buildAgent();
    const lab = await prepareLab({ machines: 1, agent });
    await lab.run(keygen);
    const publicKey = readFileSync(`${key}.pub`, 'utf8');
    const made = await build(lab, 'machine1');
    told('built after');

    const sshPort = await freePort();
    const machine = { folder, firmware, sshPort, diskSerial: 'NIXIE1', deadlineMs: limitMs };
    const sshOptions = [
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
    sshOptions.push('-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', '-o', 'ConnectTimeout=30');
    const ssh = async (command: string): Promise<string> =>
      (await lab.run(['ssh', ...sshOptions, 'root@127.0.0.1', command], { deadlineMs: stageMs })).trim();
    const env = { NIX_SSHOPTS: sshOptions.join(' ') };

    const word = `nixie.lab_key=${Buffer.from(publicKey).toString('base64')}`;
    const kernel = { ...made.kernel, words: `${made.kernel.words} ${word}` };
    const installer = await powerOn({ ...machine, kernel });
    t.diagnostic(
      `${firmware}: installer's sshd ${((await installer.seen(/NIXIE-STAGE sshd/, stageMs)) / 1000).toFixed(1)} s`,
    );
    assert.match(await ssh('cat /etc/os-release'), /^VARIANT_ID=installer$/m);
    assert.equal(await ssh('systemctl is-system-running --wait; systemctl --failed --plain --no-legend'), 'running');
    assert.match(await ssh('ls /dev/disk/by-id'), /virtio-NIXIE1/);
    assert.match(await ssh('journalctl -b -n 5 -u systemd-networkd'), /networkd/);
    assert.equal(await ssh(`test -d /sys/firmware/efi && echo uefi || echo bios`), firmware);
    const programs =
      'sh bash tar cpio setsid nix nix-store nixos-install reboot nohup lsblk jq wipefs blkid sfdisk partx udevadm';
    const more = 'mkfs.ext4 mkfs.vfat findmnt ip ethtool zstd systemd-notify mountpoint';
    assert.equal(
      await ssh(`for p in ${programs} ${more}; do command -v $p > /dev/null || echo $p; done`),
      '',
      'missing programs',
    );
    assert.equal(await ssh('setsid --wait true && echo waits'), 'waits');

    const facts = { firmware, diskSerial: machine.diskSerial, diskBytes: soloHardware.diskBytes, ssh };
    const blank = await checkInventory(facts);
    assert.deepEqual([blank.disks[0].table, blank.disks[0].has_data, blank.disks[0].in_use], ['none', false, false]);
    told(`inventory of ${blank.collected_in_ms} ms compared`);

    const copy = ['nix', 'copy', '--substitute-on-destination', '--to'];
    await lab.run([...copy, 'ssh://root@127.0.0.1', made.disko], { env });
    let since = performance.now();
    await ssh(made.disko);
    told('disko', since);
    const held = await checkInventory(facts);
    assert.deepEqual([held.disks[0].table, held.disks[0].has_data, held.disks[0].in_use], ['gpt', true, true]);
    assert.equal(held.hardware_sha256, blank.hardware_sha256);
    since = performance.now();
    await lab.run([...copy, 'ssh://root@127.0.0.1?remote-store=local%3Froot=%2Fmnt', made.toplevel], { env });
    told('copy', since);
    const extra = `mkdir -p /mnt/root/.ssh /mnt/etc/ssh && cp /root/.ssh/authorized_keys /mnt/root/.ssh/ && chmod 700 /mnt/root /mnt/root/.ssh
      ssh-keygen -q -t ed25519 -N '' -C '' -f /mnt/etc/ssh/ssh_host_ed25519_key && ssh-keygen -lf /mnt/etc/ssh/ssh_host_ed25519_key.pub`;
    const placed = (await ssh(extra)).split(' ')[1]!;
    await assert.rejects(ssh(`nixos-install --flake x --system ${made.toplevel}`), /unknown argument '--flake'/);
    since = performance.now();
    await ssh(`nixos-install --no-root-passwd --no-channel-copy --system ${made.toplevel}`);
    told('nixos-install', since);
    assert.equal(
      await ssh('cd /mnt/nix/var/nix/profiles; readlink system; readlink system-1-link'),
      `system-1-link\n${made.toplevel}`,
    );
    assert.equal(await ssh('test -e /mnt/etc/NIXOS && echo mark'), 'mark');
    await ssh(`nix store verify -r --no-trust --store 'local?root=/mnt' ${made.toplevel}`);
    // twice changes nothing
    await ssh(`nixos-install --no-root-passwd --no-channel-copy --system ${made.toplevel}`);
    assert.equal(await ssh('cd /mnt/nix/var/nix/profiles; ls -d system*'), 'system\nsystem-1-link');
    await ssh('reboot').catch(() => {});
    assert.equal((await installer.child.exited).code, 0);

    const installed = await powerOn(machine);
    t.diagnostic(
      `${firmware}: own disk, booted ${((await installed.seen(/NIXIE-STAGE booted/, stageMs)) / 1000).toFixed(1)} s`,
    );
    assert.equal(
      await ssh('readlink /run/booted-system; readlink /run/current-system; uname -n'),
      `${made.toplevel}\n${made.toplevel}\nmachine1`,
    );
    assert.equal(await ssh('systemctl is-system-running --wait; systemctl --failed --plain --no-legend'), 'running');
    assert.equal((await ssh('ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub')).split(' ')[1], placed);
    await ssh('poweroff').catch(() => {});
    assert.equal((await installed.child.exited).code, 0);
    told('all');
  } finally {
    await stopAll();
    rmSync(folder, { recursive: true, force: true });
  }
}

for (const firmware of ['uefi', 'bios'] as const) {
  test(
    `the images install a machine by hand and it boots its disk (${firmware})`,
    { skip: skipUnless(...needs), timeout: limitMs },
    (t) => installByHand(t, firmware),
  );
}

test('each program of the images finds its libraries', { skip: skipUnless(...needs), timeout: limitMs }, async () => {
  const lab = await prepareLab({ machines: 1 });
  const made = await build(lab, 'machine1');
  const trees = (await lab.run(['nix-store', '--query', '--requisites', made.toplevel])).match(/\S*-debian-machine$/m);
  const installer = (await lab.run(['nix', 'eval', '--raw', `${lab.flake}#lab.installerTree`])).trim();
  // The tree has no /dev; ld.so also fails on what is no dynamic program at all, but with other words.
  const script = `
    seen=0
    for f in /usr/bin/* /usr/sbin/* /usr/lib/systemd/systemd* /usr/lib/nix/* /usr/lib/udev/*; do
      [ -f $f ] || continue
      out=$(/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 --list $f 2>&1) && seen=$((seen + 1))
      case $out in *'not found'* | *'cannot open shared object'*) echo "$f: $out" ;; esac
    done
    echo $seen`;
  for (const tree of [trees![0], installer]) {
    const lines = (await lab.run(['chroot', tree, '/usr/bin/dash', '-c', script])).trim().split('\n');
    assert.ok(Number(lines.pop()) > 150, `${tree}: programs were looked at`);
    assert.deepEqual(lines, [], tree);
  }
});

test('a warm cache prepares the lab in seconds', {
  skip: skipUnless(...needs),
  timeout: limitMs,
}, async () => {
  await prepareLab({ machines: 2 });
  const since = performance.now();
  const lab = await prepareLab({ machines: 2 });
  assert.deepEqual(
    lab.machines.map(({ name, serial }) => `${name} ${serial}`),
    ['machine1 NIXIE1', 'machine2 NIXIE2'],
  );
  assert.ok(performance.now() - since < 10_000);
});
