// A machine to install without a machine: a network namespace with a real sshd, a store and a disk (folders) of its own, and the few programs an
// installer has. Beside it a namespace for the controller, with a private /nix. Quick enough for each failure that an install can have.
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Child, run, start } from '../child.ts';
import { findProgram } from '../need.ts';
import { until } from '../patience.ts';

export const targetAddress = '10.77.9.2';
export const controllerAddress = '10.77.9.1';
/** Nobody lives there. */
export const deadAddress = '10.77.9.9';

export interface ToySystem {
  readonly disko: string;
  readonly toplevel: string;
}

export interface Target {
  readonly folder: string;
  /** `ssh-ed25519 AAAA…` of the installer's sshd. */
  readonly hostKey: string;
  /** nixos-anywhere, inside the controller's namespaces. */
  readonly program: string;
  /** ssh, inside the controller's network namespace. */
  readonly ssh: string;
  /** Runs the program named by its arguments in the controller's network namespace. */
  readonly inNet: string;
  /** The same, with the controller's store. */
  readonly inStore: string;
  /** Which nixos-anywhere it is. */
  readonly isStandIn: boolean;
  /** The flake of toy machines, for calls that build. */
  readonly flake: string;
  /** Variables for nix on the controller. */
  readonly env: Readonly<Record<string, string>>;
  /** Path of the neighbour table of the controller's namespace. */
  readonly neighbours: string;
  /** Builds toy machines into the controller's store. */
  build(names: readonly string[]): Promise<Record<string, ToySystem>>;
  /** Commands that came over ssh, in order. */
  commands(): string[];
  /** Logins that its sshd accepted, since the last reset. */
  logins(): number;
  /** Forgets commands, what was installed and the behaviour; lets these keys in. */
  reset(authorizedKeys: readonly string[], behaviour?: Behaviour): Promise<void>;
  /** The installed system comes up: its own host key and authorized keys, its links. */
  bootInstalled(toplevel: string): Promise<void>;
  /** Ends every ssh session at once, as a machine that dies does. */
  killSessions(): void;
  /** Takes the cable out, or puts it back. */
  cable(plugged: boolean): Promise<void>;
  /** Runs a shell line in the target's namespaces. */
  inside(line: string): Promise<string>;
  /** Processes of the target that run this program of its `bin`. */
  running(name: string): number[];
  close(): Promise<void>;
}

export interface Behaviour {
  readonly without?: readonly string[];
  readonly slowInstall?: boolean;
  readonly neverReboots?: boolean;
}

const sources = import.meta.dirname;

export async function makeTarget(): Promise<Target> {
  const id = `nxi-${randomBytes(4).toString('hex')}`;
  const names = { controller: `${id}-c`, target: `${id}-t` };
  const folder = mkdtempSync(join(tmpdir(), `${id}-`));
  chmodSync(folder, 0o755); // sshd and its children go through it
  const at = (...parts: string[]) => join(folder, ...parts);
  const children: Child[] = [];
  let sshd: Child | undefined;
  let accepted = 0;

  const close = async () => {
    await Promise.all(children.map((child) => child.stop(1000)));
    for (const name of Object.values(names)) {
      const pids = await run(['ip', 'netns', 'pids', name], { accept: true });
      for (const pid of pids.stdout.split('\n').filter((text) => text !== '')) kill(Number(pid));
      await run(['ip', 'netns', 'del', name], { accept: true });
    }
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };

  try {
    for (const name of Object.values(names)) await run(['ip', 'netns', 'add', name]);
    const c = ['ip', '-n', names.controller];
    const t = ['ip', '-n', names.target];
    await run([...c, 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', names.target]);
    await run([...c, 'addr', 'add', `${controllerAddress}/24`, 'dev', 'eth0']);
    await run([...t, 'addr', 'add', `${targetAddress}/24`, 'dev', 'eth0']);
    for (const ip of [c, t]) for (const link of ['lo', 'eth0']) await run([...ip, 'link', 'set', link, 'up']);

    for (const part of [
      'controller/nix',
      'controller/conf',
      'controller/bin',
      'target/nix',
      'target/bin',
      'target/conf',
      'target/state',
    ]) {
      mkdirSync(at(part), { recursive: true });
    }
    const nixConf =
      'experimental-features = nix-command flakes\nsandbox = false\nbuild-users-group =\nsubstituters =\n';
    for (const side of ['controller', 'target']) writeFileSync(at(side, 'conf/nix.conf'), nixConf);
    writeFileSync(at('os-release'), 'ID=nixos\nVARIANT_ID=installer\n');
    mkdirSync('/nix', { recursive: true }); // a place to mount on; nothing is put there

    const script = (path: string, text: string) => {
      writeFileSync(path, `#!/bin/sh\n${text}`);
      chmodSync(path, 0o755);
    };
    const real = findProgram('nixos-anywhere');
    const program = at('controller/bin/nixos-anywhere');
    const inStore = `mount --bind '${at('controller/nix')}' /nix && exec "$0" "$@"`;
    const enter = `exec ip netns exec ${names.controller} unshare -m --propagation private sh -c '${inStore.replaceAll("'", "'\\''")}'`;
    script(program, `${enter} '${real ?? join(sources, 'nixos-anywhere')}' "$@"\n`);
    const storeShell = at('controller/bin/in-store');
    script(storeShell, `${enter} "$@"\n`);
    const ssh = at('controller/bin/ssh');
    script(ssh, `exec ip netns exec ${names.controller} ${findProgram('ssh')} "$@"\n`);
    const inNet = at('controller/bin/in-net');
    script(inNet, `exec ip netns exec ${names.controller} "$@"\n`);

    const env = { NIX_CONF_DIR: at('controller/conf') };
    const flake = at('controller/flake');
    mkdirSync(join(flake, 'bin'), { recursive: true });
    copyFileSync(join(sources, 'toy-flake.nix'), join(flake, 'flake.nix'));
    copyFileSync(findProgram('busybox')!, join(flake, 'bin/busybox'));

    for (const name of ['installer', 'installed']) {
      await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', at('target', name)]);
    }
    const hostKey = readFileSync(at('target/installer.pub'), 'utf8').trim();

    script(
      at('target/login'),
      `printf '%s\\n' "$SSH_ORIGINAL_COMMAND" | head -n 1 >> '${at('target/state/commands')}'
export PATH='${at('target/bin')}' NIX_CONF_DIR='${at('target/conf')}'
exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"
`,
    );
    script(
      at('target/nixos-install'),
      `# Takes what the real one takes, and makes the profile link that it makes.
echo "nixos-install argv: $*"
system=
while [ $# -gt 0 ]; do if [ "$1" = --system ]; then system=$2; fi; shift; done
[ -e "/mnt$system/system" ] || { echo "error: $system is not in /mnt" >&2; exit 1; }
if [ -e '${at('target/state/slow-install')}' ]; then
  for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do echo "installing step $i/15"; sleep 1; done
fi
mkdir -p /mnt/nix/var/nix/profiles /mnt/etc
ln -sfn "$system" /mnt/nix/var/nix/profiles/system
touch /mnt/etc/NIXOS
echo 'installation finished!'
`,
    );
    script(
      at('target/reboot'),
      `if [ -e '${at('target/state/never-reboots')}' ]; then exit 0; fi\nkill "$(cat '${at('target/state/sshd.pid')}')"\n`,
    );
    linkPrograms(at('target/bin'), [at('target/nixos-install'), at('target/reboot')]);
    const hidden: string[] = [];
    const config = (file: string, key: string, authorized: string, forced: boolean) =>
      writeFileSync(
        at('target', file),
        [
          `ListenAddress ${targetAddress}`,
          `HostKey ${key}`,
          `AuthorizedKeysFile ${authorized}`,
          `PidFile ${at('target/state/sshd.pid')}`,
          'PermitRootLogin yes',
          'PasswordAuthentication no',
          'KbdInteractiveAuthentication no',
          'UsePAM no',
          'StrictModes no',
          'MaxStartups 200',
          forced ? `ForceCommand ${at('target/login')}` : '',
          '',
        ].join('\n'),
      );
    config('sshd_installer', at('target/installer'), at('target/authorized_keys'), true);
    config('sshd_installed', '/mnt/etc/ssh/ssh_host_ed25519_key', '/mnt/root/.ssh/authorized_keys', false);

    // One mount namespace for the target's whole life: its disk outlives its sshd.
    const mounts = [
      `mount --bind '${at('target/nix')}' /nix`,
      'mount -t tmpfs none /mnt',
      // Root's settings there are not those of this computer.
      'mount -t tmpfs none /root',
      'mount -t tmpfs none /run',
      'mkdir /run/sshd',
      `mount --bind '${at('os-release')}' "$(readlink -f /etc/os-release)"`,
      'echo ready',
      'exec sleep infinity',
    ].join(' && ');
    const keeper = start(
      ['ip', 'netns', 'exec', names.target, 'unshare', '-m', '--propagation', 'private', 'sh', '-c', mounts],
      {
        deadlineMs: 2_400_000,
        onLine: (line) => {
          if (line === 'ready') up = true;
        },
      },
    );
    let up = false;
    children.push(keeper);
    await until('the mounts of the target', () => up);
    const nsenter = ['nsenter', '-t', String(keeper.pid), '-m', '-n'];

    const stopSshd = async () => {
      await sshd?.stop(1000);
      sshd = undefined;
    };
    const startSshd = async (file: string) => {
      await stopSshd();
      sshd = start([...nsenter, findProgram('sshd')!, '-D', '-e', '-f', at('target', file)], {
        deadlineMs: 2_400_000,
        onLine: (line) => {
          if (line.startsWith('Accepted publickey')) accepted++;
        },
      });
      children.push(sshd);
      const look = [...nsenter, 'sh', '-c', "grep -q ':0016 00000000:0000 0A' /proc/self/net/tcp"];
      await until('sshd to listen', async () => (await run(look, { accept: true })).code === 0);
    };

    return {
      folder,
      hostKey,
      program,
      ssh,
      inNet,
      inStore: storeShell,
      isStandIn: real === undefined,
      flake,
      env,
      neighbours: await neighbourTable(names.controller, children),
      logins: () => accepted,
      async build(wanted) {
        const list = wanted.map((name) => `"${name}"`).join(' ');
        const pick = `cs: builtins.listToAttrs (map (n: { name = n; value = let b = cs.\${n}.config.system.build; in { disko = b.diskoScript.outPath;
          toplevel = b.toplevel.outPath; drvs = [ b.diskoScript.drvPath b.toplevel.drvPath ]; }; }) [ ${list} ])`;
        const nix = { env: { ...process.env, ...env, HOME: at('controller') }, deadlineMs: 300_000 };
        const told = await run(
          [storeShell, 'nix', 'eval', '--json', `path:${flake}#nixosConfigurations`, '--apply', pick],
          nix,
        );
        const systems = JSON.parse(told.stdout) as Record<string, ToySystem & { drvs: string[] }>;
        await run([storeShell, 'nix-store', '--realise', ...Object.values(systems).flatMap(({ drvs }) => drvs)], nix);
        return systems;
      },
      commands: () =>
        existsSync(at('target/state/commands'))
          ? readFileSync(at('target/state/commands'), 'utf8').split('\n').slice(0, -1)
          : [],
      async reset(authorizedKeys, behaviour = {}) {
        await run([...nsenter, 'sh', '-c', 'umount /mnt && mount -t tmpfs none /mnt'], {});
        rmSync(at('target/state'), { recursive: true });
        mkdirSync(at('target/state'));
        if (behaviour.slowInstall === true) writeFileSync(at('target/state/slow-install'), '');
        if (behaviour.neverReboots === true) writeFileSync(at('target/state/never-reboots'), '');
        writeFileSync(at('target/authorized_keys'), authorizedKeys.map((key) => `${key}\n`).join(''));
        for (const path of hidden.splice(0)) renameSync(`${path}-hidden`, path);
        for (const name of behaviour.without ?? []) {
          hidden.push(at('target/bin', name));
          renameSync(at('target/bin', name), at('target/bin', `${name}-hidden`));
        }
        await startSshd('sshd_installer');
        accepted = 0;
      },
      async bootInstalled(toplevel) {
        await run([
          ...nsenter,
          'sh',
          '-c',
          `ln -sfn '${toplevel}' /run/booted-system; ln -sfn '${toplevel}' /run/current-system`,
        ]);
        await startSshd('sshd_installed');
      },
      killSessions() {
        const listener = readFileSync(at('target/state/sshd.pid'), 'utf8').trim();
        const sessions = readFileSync(`/proc/${listener}/task/${listener}/children`, 'utf8').trim().split(' ');
        for (const pid of sessions.filter((text) => text !== '')) kill(Number(pid));
      },
      cable: async (plugged) => {
        await run([...t, 'link', 'set', 'eth0', plugged ? 'up' : 'down']);
      },
      inside: async (line) => (await run([...nsenter, 'sh', '-c', line])).stdout,
      running: (name) => processesWith(at('target', name), at('target/bin', name)),
      close,
    };
  } catch (error) {
    await close();
    throw new Error('make target', { cause: error });
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // gone by itself
  }
}

/** The neighbour table of a namespace is read through a process inside. */
async function neighbourTable(namespace: string, children: Child[]): Promise<string> {
  const inside = start(['ip', 'netns', 'exec', namespace, 'sleep', 'infinity'], { deadlineMs: 2_400_000 });
  children.push(inside);
  return `/proc/${inside.pid}/net/arp`;
}

/** The target's PATH: everything of this computer, and the installer's own programs in front. */
function linkPrograms(bin: string, own: readonly string[]): void {
  mkdirSync(bin, { recursive: true });
  for (const path of own) symlinkSync(path, join(bin, path.slice(path.lastIndexOf('/') + 1)));
  for (const from of ['/usr/bin', '/usr/sbin', '/bin', '/sbin']) {
    for (const name of readdirSync(from)) {
      if (!existsSync(join(bin, name))) symlinkSync(join(from, name), join(bin, name));
    }
  }
}

function processesWith(...programs: readonly string[]): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
          .split('\0')
          .some((word) => programs.includes(word));
      } catch {
        return false;
      }
    })
    .map(Number);
}
