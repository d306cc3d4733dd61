// A machine with a real systemd as its first process, that runs units as the NixOS modules write them: the lab's installer (Debian's kernel and
// systemd), a disk with the folders of store.ts, and a further part of its initrd with the rest.
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { run, start } from '../child.ts';
import { freePort } from '../free-port.ts';
import { prepareLab } from '../image/build.ts';
import { powerOn } from '../image/solo.ts';
import { until } from '../patience.ts';

export interface UnitMachineOptions {
  /** Everything that is made lies in it. */
  readonly folder: string;
  /** What its root file system has besides the installer's, by absolute path; readable for all, and a program for all. */
  readonly files: Readonly<Record<string, string | Uint8Array>>;
  /** What `layStore` made. */
  readonly store: string;
  /** Names of network cards by MAC, those on a LAN together. */
  readonly lans: readonly Readonly<Record<string, string>>[];
  readonly deadlineMs: number;
}

export interface UnitMachine {
  /** Milliseconds from power-on to its sshd. */
  readonly bootMs: number;
  /** Standard output of a shell's commands, of which each must succeed. @throws Error with what was said when one doesn't */
  shell(commands: string): Promise<string>;
}

/** Many times what a stage takes on an idle computer with two cores. */
const stageMs = 300_000;

/** Boots it; it ends with this program's children. Store paths are links then. @throws when its sshd doesn't come */
export async function bootUnitMachine(options: UnitMachineOptions): Promise<UnitMachine> {
  const { folder, deadlineMs } = options;
  // The image's own agent is a stand-in: it is not what is looked at.
  const lab = await prepareLab({ machines: 1 });
  const key = join(folder, 'key');
  await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'test of units', '-f', key]);
  const values = `i: let b = i.config.system.build; in { drvs = map (d: d.drvPath) [ b.toplevel b.kernel b.netbootRamdisk ];
    kernel = "\${b.kernel}/\${i.config.system.boot.loader.kernelFile}"; initrd = "\${b.netbootRamdisk}/initrd"; toplevel = b.toplevel.outPath; }`;
  const evaluated = ['nix', 'eval', '--json', `${lab.flake}#nixosConfigurations.installer`, '--apply', values];
  const made = JSON.parse(await lab.run(evaluated)) as Record<'kernel' | 'initrd' | 'toplevel', string> & {
    drvs: string[];
  };
  await lab.run(['nix-store', '--realise', ...made.drvs]);
  const initrd = join(folder, 'initrd');
  await addPart(join(folder, 'part'), options, lab.onHost(made.initrd), initrd);
  const disk = join(folder, 'store.ext4');
  await run(['truncate', '-s', '600M', disk]);
  await run(['mkfs.ext4', '-q', '-O', '^has_journal', '-E', 'root_owner=0:0', '-d', options.store, disk]);

  const words = [`init=${made.toplevel}/init`, readFileSync(lab.onHost(`${made.toplevel}/kernel-params`), 'utf8')];
  words.push(`nixie.lab_key=${readFileSync(`${key}.pub`).toString('base64')}`);
  // Of systemd's environment: what a filter refuses is told to the kernel's log, though the program only hears no.
  words.push('SYSTEMD_LOG_SECCOMP=1', 'audit=1');
  const sshPort = await freePort();
  const solo = await powerOn({
    folder,
    firmware: 'bios',
    sshPort,
    diskSerial: 'NIXIE1',
    kernel: { kernel: lab.onHost(made.kernel), initrd, words: words.join(' ') },
    readOnlyDisks: [disk],
    lans: options.lans.map((lan) => Object.keys(lan)),
    deadlineMs,
  });
  const bootMs = await solo.seen(/NIXIE-STAGE sshd/, stageMs);

  // One login for all: each costs an emulated machine a second.
  const control = join(folder, 'ssh');
  const given = ['BatchMode=yes', 'LogLevel=ERROR', 'StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null'];
  given.push('ConnectTimeout=120', `ControlPath=${control}`);
  const ssh = ['ssh', '-F', '/dev/null', '-i', key, '-p', String(sshPort), ...given.flatMap((each) => ['-o', each])];
  const said: string[] = [];
  start([...ssh, '-M', '-N', 'root@127.0.0.1'], { deadlineMs, onLine: (line) => void said.push(line) });
  await until(
    'a login',
    async () => (await run([...ssh, '-O', 'check', 'root@127.0.0.1'], { accept: true })).code === 0,
    () => said.join('\n'),
    stageMs,
  );
  const shell: UnitMachine['shell'] = async (commands) => {
    const input = `set -eu -o pipefail\n${commands}\n`;
    const ran = await run([...ssh, 'root@127.0.0.1', 'bash'], { input, deadlineMs: stageMs, accept: true });
    if (ran.code === 0) return ran.stdout.trim();
    const why = ran.late ? 'took too long' : `ended with ${ran.code}`;
    throw new Error(`in the machine: ${commands.trim()}\n${why}: ${ran.stdout}${ran.stderr}`);
  };
  // None of what the kernel tells of refused calls is left out.
  await shell(`echo 0 > /proc/sys/kernel/printk_ratelimit
    mkdir /packages; mount -o ro /dev/vdb /packages; for each in /packages/*-*; do ln -s $each /nix/store/; done`);
  return { bootMs, shell };
}

/** The kernel unpacks one archive after the other. */
async function addPart(tree: string, { files, lans }: UnitMachineOptions, base: string, to: string): Promise<void> {
  const put = (path: string, content: string | Uint8Array): void => {
    mkdirSync(dirname(join(tree, path)), { recursive: true });
    writeFileSync(join(tree, path), content);
    chmodSync(join(tree, path), typeof content === 'string' ? 0o644 : 0o755);
  };
  for (const [mac, name] of lans.flatMap((lan) => Object.entries(lan)))
    put(`/etc/systemd/network/05-${name}.link`, `[Match]\nPermanentMACAddress=${mac}\n\n[Link]\nName=${name}\n`);
  for (const [path, content] of Object.entries(files)) put(path, content);
  const script = '(cat "$1"; cd "$2"; find . | cpio -o -H newc -R 0:0 --quiet | gzip -1) > "$3"';
  await run(['sh', '-ec', script, 'sh', base, tree, to]);
}
