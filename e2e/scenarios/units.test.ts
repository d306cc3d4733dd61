// The units of services.nixie, services.nixie-relay and services.nixie-host run under a systemd that is process 1, with all that they are kept from. Their
// text is what the modules write over the small `lib` of e2e/nix/stub, unchanged; systemd and programs are Debian's (252), the store paths are links.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before, describe } from 'node:test';
import { stopAll } from '../lab/child.ts';
import { findProgram, needFiles, needMemory, needPrograms, needRoot, skipUnless } from '../lab/need.ts';
import { writeToyFlake } from '../lab/toy-flake.ts';
import { bootUnitMachine, type UnitMachine } from '../lab/units/machine.ts';
import { readRefusals, syscalls, unexpected } from '../lab/units/refusals.ts';
import { cards, type Rendered, renderHost, renderUnits } from '../lab/units/render.ts';
import { layStore } from '../lab/units/store.ts';
import { isReal, makeNixBox, type NixBox } from '../nix/nix.ts';

const nss = '/usr/lib/x86_64-linux-gnu/libnss_systemd.so.2';
const programs = [
  'qemu-system-x86_64',
  'nix',
  'nix-instantiate',
  'git',
  'apt-get',
  'dpkg-deb',
  'dpkg-query',
  'unshare',
];
programs.push('ssh', 'ssh-keygen', 'ssh-keyscan', 'truncate', 'mkfs.ext4', 'cpio', 'gzip', 'busybox');
const skip =
  (isReal && 'the stub alone: what the units name is laid out by its names') ||
  skipUnless(
    needRoot,
    needPrograms(programs),
    needFiles([nss, '/usr/lib/ipxe/snponly.efi', '/usr/lib/ipxe/undionly.kpxe']),
    needMemory(4096),
  );

const { lan, m1, m2, site } = cards;
/** `awaiting` waits for a command to succeed; nothing of it reads standard input, which is the script. */
const prelude = `
  awaiting() { until "$@" > /dev/null 2>&1 < /dev/null; do [ $SECONDS -lt 240 ] || { echo "waited for: $*"; exit 1; }; sleep 0.5; done; }
  said() { journalctl "$1" -o cat --no-pager | grep -E "$2" > /dev/null; }
  main() { systemctl show -p MainPID --value "$1"; }
`;
/** As networks are declared on NixOS, and as nix and nss-systemd are there. */
const files = {
  '/etc/nsswitch.conf': 'passwd: files systemd\ngroup: files systemd\nshadow: files\nhosts: files dns\n',
  '/etc/nix/nix.conf':
    'experimental-features = nix-command flakes\nsandbox = false\nbuild-users-group =\nsubstituters =\nflake-registry =\n',
  '/etc/systemd/system/nix-daemon.socket':
    '[Unit]\nDescription=Nix Daemon Socket\n\n[Socket]\nListenStream=/nix/var/nix/daemon-socket/socket\n',
  '/etc/systemd/system/nix-daemon.service':
    '[Unit]\nDescription=Nix Daemon\nRequires=nix-daemon.socket\n\n[Service]\nExecStart=@/usr/bin/nix-daemon nix-daemon --daemon\nKillMode=process\n',
  ...Object.fromEntries(
    [lan, site].map(({ name, address }) => [
      `/etc/systemd/network/04-${name}.network`,
      `[Match]\nName=${name}\n\n[Network]\nAddress=${address}/24\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n`,
    ]),
  ),
  '/etc/systemd/network/04-stations.network': `[Match]\nName=${m1.name} ${m2.name}\n\n[Link]\nUnmanaged=yes\n`,
};

describe('units of the NixOS modules under systemd', { skip, timeout: 1_500_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-units-'));
  let box: NixBox;
  let rendered: Rendered;
  let machine: UnitMachine;
  /** From when on what is said counts, as journalctl takes it. */
  let since = '';
  const shell = (commands: string): Promise<string> =>
    machine.shell(`${prelude}${commands}`).catch(async (error: Error) => {
      const journal = await machine.shell('journalctl -o cat --no-pager -n 40').catch((why: Error) => why.message);
      throw new Error(`${error.message}\nThe journal:\n${journal}`, { cause: error });
    });
  /** Paths of programs in the machine. */
  let nixie = '';
  const busybox = '/nix/store/*-busybox/bin/busybox';
  const refused = async (): Promise<string[]> => unexpected(readRefusals(await shell('dmesg')));
  /** What the kernel says of the rights of a unit's main process. */
  const rights = async (unit: string): Promise<Record<string, string>> => {
    const status = await shell(`cat /proc/$(main ${unit})/status`);
    return Object.fromEntries(
      ['Uid', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb', 'NoNewPrivs', 'Seccomp'].map((name) => [
        name,
        new RegExp(`^${name}:\\s+(\\S+)`, 'm').exec(status)?.[1] ?? '',
      ]),
    );
  };
  const shows = async (unit: string, ...names: string[]): Promise<Record<string, string>> =>
    Object.fromEntries(
      (await shell(`systemctl show -p ${names.join()} ${unit}`)).split('\n').map((line) => line.split('=', 2)),
    );
  const status = async (): Promise<Record<string, unknown>[]> =>
    (await shell(`${nixie} status --json`)).split('\n').map((line) => JSON.parse(line));

  before(async () => {
    box = makeNixBox();
    rendered = await renderUnits(box, folder);
    nixie = `${rendered.own.nixie.storePath}/bin/nixie`;
    const host = await renderHost(box, '0'.repeat(64));
    const store = join(folder, 'store');
    mkdirSync(store);
    layStore(store, [...Object.values(rendered.units), rendered.withRights, host], rendered.own);
    const flake = join(folder, 'flake');
    writeToyFlake(flake, {
      busybox: findProgram('busybox')!,
      configurations: 'm1 = host "m1" { }; installer = host "installer" { };',
    });
    machine = await bootUnitMachine({
      folder,
      store,
      lans: [{ [lan.mac]: lan.name, [m1.mac]: m1.name, [m2.mac]: m2.name }, { [site.mac]: site.name }],
      files: {
        ...files,
        ...Object.fromEntries(
          Object.entries(rendered.units).map(([name, text]) => [`/etc/systemd/system/${name}`, text]),
        ),
        '/etc/nixie/hosts.json': rendered.hostsJson,
        '/etc/nixos/flake.nix': readFileSync(join(flake, 'flake.nix'), 'utf8'),
        '/etc/nixos/bin/busybox': readFileSync(join(flake, 'bin/busybox')),
        '/usr/lib/x86_64-linux-gnu/libnss_systemd.so.2': readFileSync(nss),
      },
      deadlineMs: 1_400_000,
    });
    // Two machines on the LAN. m2 was installed by an earlier run, of which the state is there: it lets us in by the operator's key.
    await shell(`umask 077; mkdir -p /run/keys; echo secret > /run/keys/disk
      ssh-keygen -q -t ed25519 -N '' -C operator -f /etc/nixie/id_ed25519
      cat /etc/nixie/id_ed25519.pub >> /root/.ssh/authorized_keys
      for name in m1 m2; do ip netns add $name; ip -n $name link set lo up; done
      ip link set ${m1.name} netns m1; ip -n m1 link set ${m1.name} up
      ip link set ${m2.name} netns m2; ip -n m2 addr add ${m2.address}/24 dev ${m2.name}; ip -n m2 link set ${m2.name} up
      mkdir -p -m 700 /var/lib/private; mkdir -p /var/lib/private/nixie/hostkeys/m2; cd /var/lib/private/nixie/hostkeys/m2
      ssh-keygen -q -t ed25519 -N '' -C m2 -f ssh_host_ed25519_key; cp ssh_host_ed25519_key /run/keys/m2
      ip netns exec m2 /usr/sbin/sshd -h /run/keys/m2 -o PidFile=none -o ListenAddress=${m2.address} < /dev/null > /dev/null 2>&1
      systemctl start nix-daemon.socket`);
  });
  after(async () => {
    await stopAll();
    box?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  test('what a unit forbids too much is seen', async (t) => {
    t.diagnostic(`sshd after ${(machine.bootMs / 1000).toFixed(1)} s`);
    const said = await shell(`drop=/run/systemd/system/nixie.service.d; mkdir -p $drop
      printf '[Service]\\nMemoryDenyWriteExecute=yes\\nRestart=no\\n' > $drop/broken.conf
      systemctl daemon-reload; systemctl start nixie && exit 9
      systemctl is-active nixie nixie-${lan.name}.socket || true
      rm $drop/broken.conf; systemctl daemon-reload; systemctl reset-failed; systemctl stop nixie-${lan.name}.socket`);
    assert.match(said, /^failed\n/);
    const seen = await refused();
    assert.ok(
      seen.some((each) => [syscalls.mprotect, syscalls.pkey_mprotect].some((n) => each === `node: system call ${n}`)),
      seen.join(),
    );
    since = `@${await shell('dmesg --clear; sleep 1.1; date +%s')}`;
  });

  test('nixie.service starts without a right, builds by the nix daemon, and answers', async () => {
    await shell('systemctl start nixie');
    const about = await shows('nixie', 'ActiveState', 'SubState', 'NRestarts');
    assert.deepEqual(about, { ActiveState: 'active', SubState: 'running', NRestarts: '0' });
    const { Uid, ...has } = await rights('nixie');
    const none = '0000000000000000';
    assert.deepEqual(has, { CapPrm: none, CapEff: none, CapBnd: none, CapAmb: none, NoNewPrivs: '1', Seccomp: '2' });
    assert.ok(Number(Uid) >= 61_184 && Number(Uid) <= 65_519, `of systemd's dynamic users: ${Uid}`);
    // Its folder is its own, also what was there before; DHCP's thread comes first.
    assert.equal(
      await shell(`cd /var/lib/nixie/; stat -c '%U %a %n' . tls.pem tmp hostkeys/m2/ssh_host_ed25519_key
        cat /proc/$(main nixie)/task/*/stat | sed 's/.*) //' | cut -d ' ' -f 17 | sort -u`),
      'nixie 700 .\nnixie 600 tls.pem\nnixie 700 tmp\nnixie 600 hostkeys/m2/ssh_host_ed25519_key\n-10\n0',
    );
    // The flake was read and built as somebody whom the daemon doesn't know; m2 was asked over ssh by the key that is a credential.
    await shell(`print=$(ssh-keygen -lf /etc/nixie/id_ed25519.pub | cut -d ' ' -f 2)
      awaiting said -unixie '^[0-9:]+ m2: doubtful .*: it is up at ${m2.address} and runs /nix/store/'
      journalctl -t sshd -o cat --no-pager | grep -F "$print" | grep 'Accepted publickey for root from ${lan.address} '; awaiting said -unixie '^[0-9:]+ m1: waking'`);
    const told = await status();
    assert.deepEqual(
      told.map(({ host, stage }) => [host, stage]),
      [
        ['m1', 'waking'],
        ['m2', 'doubtful'],
      ],
    );
    assert.match(String(told[0]!.toplevel), /^\/nix\/store\/.*-nixos-system-m1$/);
  });

  test('it answers DHCP, TFTP and HTTP through the sockets that systemd opened', async () => {
    const said =
      await shell(`cd /run; printf '#!/bin/sh\\n[ "$1" != bound ] || ip addr add $ip/24 dev ${m1.name}; echo "$1 $ip"\\n' > dhcp; chmod 755 dhcp
      in_m1() { ip netns exec m1 ${busybox} "$@" 2> /dev/null < /dev/null; }
      in_m1 udhcpc -i ${m1.name} -f -q -n -t 20 -T 3 -V nixie-agent -s /run/dhcp
      in_m1 tftp -g -r snponly.efi -l loader ${lan.address}; cat loader | sha256sum; cat /nix/store/*-ipxe/snponly.efi | sha256sum
      in_m1 wget -q -O script http://${lan.address}:7480/boot/${m1.mac}.ipxe
      url=$(grep -o 'http://[^ ]*/kernel' script); echo $url; in_m1 wget -q -O kernel $url; sha256sum < kernel`);
    const [, bound, loader, wanted, url, kernel] = said.split('\n');
    assert.match(bound!, /^bound 10\.9\.1\.1(?:0\d|10)$/);
    assert.equal(loader, wanted);
    assert.equal(kernel!.split(' ')[0], /\/f\/([0-9a-f]{64})\//.exec(url!)?.[1], said);
  });

  test('nixie-relay.service starts without a right and joins the controller', async () => {
    await shell(`${nixie} relay-token rack7 --url https://${lan.address}:7482 --out /run/keys/relay
      systemctl start nixie-relay
      awaiting said -unixie 'relay rack7 is connected from ${lan.address}:'`);
    assert.deepEqual(await shows('nixie-relay', 'ActiveState', 'NRestarts'), { ActiveState: 'active', NRestarts: '0' });
    const { Uid, ...has } = await rights('nixie-relay');
    const none = '0000000000000000';
    assert.deepEqual(has, { CapPrm: none, CapEff: none, CapBnd: none, CapAmb: none, NoNewPrivs: '1', Seccomp: '2' });
    assert.notEqual(Uid, '0');
    assert.equal(
      await shell(`stat -c '%U %a %n' /var/lib/nixie-relay/relay-key.pem /var/cache/nixie-relay/cache
        pid=$(main nixie-relay); for port in 67 69 4011; do ss -Hulnp "sport = :$port" | grep -c "pid=$pid,"; done
        ss -Htlnp | grep "pid=$pid," | grep -oE '${site.address}:[0-9]+' | sort
        (${busybox} wget -q -O - http://${site.address}:7480/ 2>&1 < /dev/null || true) | grep -o 'HTTP.*'`),
      [
        'nixie-relay 600 /var/lib/nixie-relay/relay-key.pem\nnixie-relay 700 /var/cache/nixie-relay/cache\n1\n1\n1',
        `${site.address}:7480\n${site.address}:7481\nHTTP/1.1 404 Not Found`,
      ].join('\n'),
    );
    await shell('systemctl stop nixie-relay');
    const ended = await shows('nixie-relay', 'ActiveState', 'Result', 'ExecMainStatus');
    assert.deepEqual(ended, { ActiveState: 'inactive', Result: 'success', ExecMainStatus: '0' });
  });

  test('nixie-host.service tells once, and not before it is believed', async () => {
    const certificate = new X509Certificate(await shell('cat /var/lib/nixie/tls.pem'));
    const unit = await renderHost(box, certificate.fingerprint256.replaceAll(':', '').toLowerCase());
    // Nobody has placed a key on m1 yet.
    const early = await shell(`cat > /etc/systemd/system/nixie-host.service << 'UNIT'\n${unit}\nUNIT
      systemctl daemon-reload; systemctl start nixie-host && exit 9
      systemctl show -p ActiveState --value nixie-host; ls /var/lib/nixie-host; systemctl stop nixie-host
      journalctl -u nixie-host -o cat --no-pager | grep -o 'no host of this name has this key'`);
    assert.equal(early, 'activating\nno host of this name has this key');
    const late =
      await shell(`cd /var/lib/nixie/hostkeys; mkdir -m 700 m1; cp /etc/ssh/ssh_host_ed25519_key* m1/; chown -R --reference=m2 m1
      systemctl start nixie-host; systemctl show -p ActiveState,SubState --value nixie-host; ls /var/lib/nixie-host
      awaiting said -unixie 'm1: checked in at .*: it runs /nix/store/'
      systemctl restart nixie-host; systemctl show -p ActiveState,ConditionResult --value nixie-host
      journalctl -u nixie-host -o cat --no-pager | grep -c 'nixie-agent: the controller knows'`);
    assert.equal(late, 'active\nexited\ntold\ninactive\nno\n1');
  });

  test('nixie.service is reloaded, restarted and stopped', async () => {
    const before = await shell('main nixie');
    const said = await shell(`systemctl reload nixie; awaiting said -unixie 'was read again'; main nixie
      systemctl restart nixie; main nixie; systemctl is-active nixie nixie-${lan.name}.socket`);
    const [reloaded, restarted, ...active] = said.split('\n');
    assert.equal(reloaded, before);
    assert.notEqual(restarted, before);
    assert.deepEqual(active, ['active', 'active']);
    await shell('systemctl stop nixie');
    const ended = await shows('nixie', 'ActiveState', 'Result', 'ExecMainStatus', 'NRestarts');
    assert.deepEqual(ended, { ActiveState: 'inactive', Result: 'success', ExecMainStatus: '0', NRestarts: '0' });
    // The sockets go with it, and the folder in memory that held its keys.
    assert.equal(
      await shell(`systemctl is-active nixie-${lan.name}.socket || true
        ss -Huln 'sport = :67 or sport = :69 or sport = :4011'; ls /dev/shm`),
      'inactive',
    );
  });

  test('nothing was refused that is not meant to be', async () => {
    assert.deepEqual(await refused(), []);
    const journal = await shell(`journalctl --since ${since} -o cat --no-pager`);
    assert.match(journal, /Started nixie-relay\.service/);
    const denied = /permission denied|not permitted|read-only file system|SIGSYS|core dump|the kernel keeps/i;
    // Those of Node itself have a kind in front.
    const odd = (line: string) => (denied.test(line) || /[a-z]Warning: /.test(line)) && !line.includes('type=1326');
    assert.deepEqual(journal.split('\n').filter(odd), []);
    // What this systemd doesn't know of the units it says, and goes on without.
    const boot = await shell('journalctl -b _PID=1 -o cat --no-pager');
    assert.deepEqual(
      boot.split('\n').filter((line) => /^\/etc\/systemd\/system\/nixie/.test(line)),
      [],
    );
  });

  test('where no interface is named, nixie.service opens its sockets itself, with two rights', async () => {
    const begun = await shell(`dmesg --clear; rm /etc/systemd/system/nixie-${lan.name}.socket
      cat > /etc/systemd/system/nixie.service << 'UNIT'\n${rendered.withRights}\nUNIT
      systemctl daemon-reload; systemctl start nixie; systemctl is-active nixie
      ss -Hulnp 'sport = :67' | grep -c "pid=$(main nixie),"`);
    assert.match(begun, /^active\n[1-9]/);
    // CAP_NET_BIND_SERVICE is 10, CAP_NET_RAW 13.
    const two = '0000000000002400';
    const { Uid, ...has } = await rights('nixie');
    assert.deepEqual(has, { CapPrm: two, CapEff: two, CapBnd: two, CapAmb: two, NoNewPrivs: '1', Seccomp: '2' });
    assert.notEqual(Uid, '0');
    const all = readRefusals(await shell('systemctl stop nixie; dmesg'));
    // It may have its packet socket now.
    assert.deepEqual([all.some(({ syscall }) => syscall === syscalls.socket), unexpected(all)], [false, []]);
    assert.deepEqual(await shows('nixie', 'Result', 'ExecMainStatus'), { Result: 'success', ExecMainStatus: '0' });
  });
});
