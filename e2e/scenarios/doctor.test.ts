// `nixie doctor --interface` on a LAN with real servers of others, real firewall rules and a real holder of a port; and what a controller hears of
// them while it runs.
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { diagnose } from '../../controller/src/doctor/diagnose.ts';
import type { InterfaceFacts, SurveyFinding } from '../../controller/src/doctor/survey.ts';
import type { Seen } from '../../controller/src/listen/seen.ts';
import { Trails } from '../../controller/src/trails.ts';
import { run, start } from '../lab/child.ts';
import { type DhcpServer, foreignDhcp, strangeProxy } from '../lab/foreign-dhcp.ts';
import { needFiles, needNetns, needPrograms, skipUnless } from '../lab/need.ts';
import { lan, makeNetwork, type Network } from '../lab/net.ts';
import { until } from '../lab/patience.ts';
import type { DoorsArguments } from '../lab/sockets/doors.ts';
import { ovmf } from '../lab/sockets/firmware-packets.ts';
import { startTalker } from '../lab/sockets/talker.ts';

const skip = skipUnless(
  needNetns,
  needPrograms(['dnsmasq', 'nft', 'iptables-save', 'setpriv', 'nix', 'ssh', 'atftp']),
  needFiles(['/usr/lib/ipxe/snponly.efi', '/usr/lib/ipxe/undionly.kpxe']),
);
const root = join(import.meta.dirname, '../..');
const deadlineMs = 900_000;

describe('nixie doctor on a LAN', { skip, timeout: 900_000 }, () => {
  let net: Network;
  let site: DhcpServer;
  let folder = '';
  const servers: DhcpServer[] = [];

  before(async () => {
    net = await makeNetwork();
    folder = mkdtempSync(join(tmpdir(), 'nixie-doctor-'));
    chmodSync(folder, 0o755);
    mkdirSync(join(folder, 'bin'));
    symlinkSync(join(root, 'e2e/lab/nixos-anywhere/nixos-anywhere'), join(folder, 'bin/nixos-anywhere'));
    site = await foreignDhcp(net, { ra: false, deadlineMs });
    servers.push(site);
  });
  after(async () => {
    for (const server of servers) await server.stop();
    await net?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function doctor(args: readonly string[], as: readonly string[] = []) {
    const program = [process.execPath, join(root, 'controller/src/bin/nixie.ts'), 'doctor', '--json', ...args];
    const env = { PATH: `${folder}/bin:${process.env.PATH}`, HOME: folder };
    const ran = await run(net.inside(net.srv, [...as, ...program]), { env, accept: true });
    const [first, ...findings] = ran.stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));
    const problems = (findings as SurveyFinding[]).filter(({ level }) => level === 'problem');
    return {
      ...ran,
      at: first?.facts.interfaces[0] as InterfaceFacts,
      findings: findings as SurveyFinding[],
      problems,
    };
  }
  const macOf = async (namespace: string): Promise<string> =>
    (
      JSON.parse((await run(net.inside(namespace, ['ip', '-j', 'link', 'show', 'eth0']))).stdout) as {
        address: string;
      }[]
    )[0]!.address;

  test("beside the site's server nothing is in the way, and no address is taken", async () => {
    const { code, at, problems, stderr } = await doctor(['--interface', 'eth0']);
    assert.deepEqual([code, problems], [0, []], stderr);
    const offers = at.offers as Extract<InterfaceFacts['offers'], readonly unknown[]>;
    // It asks twice with one number, and is offered one address.
    assert.equal(new Set(offers.map((offer) => offer.address)).size, 1);
    assert.match(offers[0]!.address!, /^10\.77\.0\.1\d\d$/);
    assert.deepEqual(
      [offers[0]!.server, offers[0]!.serverMac, offers[0]!.boots],
      [lan.foreignDhcp, await macOf(net.dhcp), false],
    );
    assert.ok(site.lines.some((line) => /DHCPDISCOVER/.test(line)));
    assert.ok(!site.lines.some((line) => /DHCPREQUEST|DHCPACK/.test(line)));
  });

  test('alone on the LAN the same server is in the way', async () => {
    const { code, problems } = await doctor(['--interface', 'eth0', '--dhcp', 'range=10.77.0.50-10.77.0.60']);
    assert.deepEqual([code, problems.map(({ id }) => id)], [1, ['dhcp-server-beside-range']]);
  });

  test('a taken port, named with its holder; rules that drop', async () => {
    const argv = [
      'dnsmasq',
      '-k',
      '-p',
      '0',
      '-C',
      '/dev/null',
      '--pid-file=',
      '-i',
      'eth0',
      '--bind-interfaces',
      '-F',
      '10.77.0.50,10.77.0.60',
      '--log-facility=-',
      '--leasefile-ro',
    ];
    const holder = start(net.inside(net.srv, argv), { deadlineMs });
    const rules =
      'table inet f { chain input { type filter hook input priority 0; policy drop; udp dport { 67, 69 } accept; tcp dport 7480 accept; iifname "eth0" udp sport 67 accept; }; }';
    try {
      await run(net.inside(net.srv, ['nft', '-f', '-']), { input: rules });
      const table = async () => (await run(net.inside(net.srv, ['cat', '/proc/net/udp']))).stdout;
      await until('dnsmasq to hold the port', async () => / 00000000:0043 /.test(await table()));
      const { code, problems } = await doctor(['--interface', 'eth0']);
      assert.equal(code, 1);
      assert.deepEqual(
        problems.map(({ id }) => id),
        ['port-taken', 'firewall-drops'],
      );
      assert.match(problems[0]!.says, /^udp 67 is held by dnsmasq \(process \d+\)$/);
      assert.equal(problems[1]!.says, 'its rules drop udp 4011, tcp 7481');
    } finally {
      await holder.stop();
      await run(net.inside(net.srv, ['nft', 'flush', 'ruleset']), { accept: true });
    }
  });

  test('rules of iptables, which nft shows without their words', async (t) => {
    t.after(() => run(net.inside(net.srv, ['nft', 'flush', 'ruleset']), { accept: true }));
    const ports = '-p udp -m multiport --dports 67,69,4011 -m comment --comment boot -j ACCEPT';
    for (const words of [`-A INPUT ${ports}`, '-A INPUT -p tcp --dport 7480:7481 -j ACCEPT', '-P INPUT DROP'])
      await run(net.inside(net.srv, ['iptables', ...words.split(' ')]));
    const { problems, findings } = await doctor(['--interface', 'eth0']);
    assert.deepEqual([problems, findings.filter(({ id }) => id === 'firewall-unknown')], [[], []]);
    await run(net.inside(net.srv, ['iptables', '-D', 'INPUT', ...ports.split(' ')]));
    assert.equal((await doctor(['--interface', 'eth0'])).problems[0]?.says, 'its rules drop udp 67, udp 69, udp 4011');
  });

  test('who is not root is told what could not be looked at', async () => {
    const nobody = ['setpriv', '--reuid', '65534', '--clear-groups', '--inh-caps=-all', '--bounding-set=-all'];
    const { code, findings } = await doctor(['--interface', 'eth0'], nobody);
    assert.equal(code, 3, JSON.stringify(findings));
    const ids = findings.map(({ id }) => id);
    for (const id of ['not-asked', 'not-tried', 'firewall-unknown'])
      assert.ok(ids.includes(id as never), ids.join(', '));
    const missing = await doctor(['--interface', 'eth9']);
    assert.deepEqual([missing.code, missing.stderr], [3, 'nixie: there is no interface eth9; there are: eth0\n']);
  });

  test('no carrier', async (t) => {
    const plug = (state: string) => run(['ip', '-n', net.lan, 'link', 'set', 'v-srv', state]);
    t.after(() => plug('up'));
    await plug('down');
    const { code, problems } = await doctor(['--interface', 'eth0']);
    assert.deepEqual([code, problems.map(({ id }) => id)], [1, ['no-carrier']]);
  });

  test("another's boot server is found before the run, and heard while it lasts", async () => {
    const namespace = await net.addServer('odd', '10.77.0.3');
    const tftpRoot = join(folder, 'tftp');
    mkdirSync(tftpRoot);
    writeFileSync(join(tftpRoot, 'strange.efi'), 'x');
    servers.push(await strangeProxy(net, { namespace, tftpRoot, file: 'strange.efi', deadlineMs }));
    const strangeMac = await macOf(namespace);

    const { code, problems } = await doctor(['--interface', 'eth0']);
    assert.deepEqual([code, problems.map(({ id }) => id)], [1, ['other-proxy']]);
    assert.match(problems[0]!.says, new RegExp(`^10\\.77\\.0\\.3 \\(${strangeMac}\\) offers to firmware: boot file`));

    const mac = '52:54:00:77:00:31';
    const trails = new Trails({
      hostOfMac: new Map([[mac as never, 'm1']]),
      journal: { write: () => {} },
      now: Date.now,
    });
    const sockets = (file: string) => join(dirname(import.meta.dirname), 'lab/sockets', file);
    const ears = await startTalker(net.inside(net.srv, [process.execPath, sockets('hear.ts'), 'eth0', lan.nixie]));
    const station = await startTalker(
      net.inside(await net.addServer('sta', '10.77.0.4'), [process.execPath, sockets('station.ts'), '68']),
    );
    try {
      // A station without a route sends its broadcast by its only link.
      await run(['ip', '-n', `${net.id}-sta`, 'route', 'add', 'default', 'dev', 'eth0']);
      await station.ask({ hex: ovmf('DISCOVER', mac), fromPort: 68, to: '255.255.255.255', port: 67 });
      trails.seen({
        kind: 'dhcp-answered',
        mac: mac as never,
        asked: 'DISCOVER',
        client: 'pxe',
        port: 67,
        why: 'proxy offer',
        detail: 'snponly.efi',
      });
      for (const server of [lan.foreignDhcp, '10.77.0.3']) {
        const { seen } = await ears.hear(
          server,
          (line) => (line.seen as Seen | undefined)?.server?.startsWith(`${server} `) === true,
        );
        trails.seen(seen as Seen);
      }
      const [finding] = diagnose(trails.of('m1'), Date.now() + 60_000).findings;
      assert.equal(finding?.id, 'other-proxy');
      assert.match(
        finding.says,
        new RegExp(`another boot server answered first, seen from 10\\.77\\.0\\.3 \\(${strangeMac}\\)$`),
      );
    } finally {
      await Promise.all([ears.stop(), station.stop()]);
    }
  });

  test('a path with a smaller MTU: block 1 of the real door does not arrive at a real client', async () => {
    const namespace = await net.addServer('small', '10.77.0.5');
    await run(['ip', '-n', namespace, 'link', 'set', 'eth0', 'mtu', '1280']);
    const mac = '52:54:00:77:00:32';
    const given: DoorsArguments = {
      interfaces: [{ name: 'eth0', address: lan.nixie, dhcp: 'range' }],
      machines: { [mac]: '10.77.0.5' },
      loaders: { 'snponly.efi': '/usr/lib/ipxe/snponly.efi' },
    };
    const file = join(root, 'e2e/lab/sockets/doors.ts');
    const doors = await startTalker(net.inside(net.srv, [process.execPath, file, JSON.stringify(given)]));
    const get = ['atftp', '--option', 'blksize 1468', '-g', '-r', 'snponly.efi', '-l', join(folder, 'got'), lan.nixie];
    const client = start(net.inside(namespace, get), { deadlineMs });
    try {
      const kindOf = (line: Record<string, unknown>) => (line.seen as Seen | undefined)?.kind;
      const { seen } = await doors.hear('a block sent again', (line) => kindOf(line) === 'tftp-resending');
      const trails = new Trails({ hostOfMac: new Map(), journal: { write: () => {} }, now: Date.now });
      trails.seen({ ...(seen as Seen), machine: 'm1' });
      const [finding] = diagnose(trails.of('m1'), Date.now()).findings;
      assert.equal(finding?.id, 'tftp-mtu');
      assert.match(
        finding.says,
        /^snponly\.efi: block 1 was sent (?:[4-9]|\d\d+) times at 1468 bytes and never acknowledged$/,
      );
    } finally {
      await client.stop();
      await doors.stop();
    }
  });
});
