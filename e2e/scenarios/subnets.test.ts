// Nixie and relays that know nothing of it, without machines: which socket hears what, where answers go, who gets an address, and magic packets through
// a router. The scene is made from a declared subnet, as a run makes it.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before, describe } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseHosts } from '../../controller/src/config/hosts.ts';
import { planNetwork } from '../../controller/src/core/network.ts';
import { makeScene } from '../../controller/src/core/scene.ts';
import type { Life } from '../../controller/src/machine/life.ts';
import { decodeDhcp, encodeDhcp, option } from '../../controller/src/wire/dhcp4/packet.ts';
import { run } from '../lab/child.ts';
import { needNetns, needPrograms, skipUnless } from '../lab/need.ts';
import { lan, lan2, makeNetwork, type Network } from '../lab/net.ts';
import { startRelay } from '../lab/relay.ts';
import { ovmf } from '../lab/sockets/firmware-packets.ts';
import { quiet, startTalker, type Talker } from '../lab/sockets/talker.ts';
import { type DhcpClient, startDhcpClient } from '../lab/udhcpc.ts';

const skip = skipUnless(needNetns, needPrograms(['ip', 'setpriv', 'dhcrelay', 'dnsmasq', 'udhcpc', 'tftp']));
const known = '52:54:00:94:00:01';
const leased = `${lan2.prefix}.107`;
const cidr = `${lan2.prefix}.0/24`;
const file = (name: string): string => fileURLToPath(new URL(`../lab/${name}`, import.meta.url));
const node = (name: string, ...more: string[]): string[] => [process.execPath, file(name), ...more];

/** As a run makes it of its hosts file. */
function sceneOf(subnet: Record<string, string | readonly string[]> | undefined, wish: 'proxy' | 'range') {
  const text = {
    ...(subnet === undefined ? {} : { $subnets: [subnet] }),
    far: { mac_address: known, ...(subnet?.range === undefined ? {} : { address: leased }) },
  };
  const read = parseHosts(new TextEncoder().encode(JSON.stringify(text)), 'hosts.json');
  assert.ok(read.ok, JSON.stringify(read));
  const dhcp =
    wish === 'proxy'
      ? ({ mode: 'proxy' } as const)
      : ({ mode: 'range', from: '10.77.0.150', to: '10.77.0.160' } as const);
  const links = [{ name: 'eth0', address: lan.nixie, prefixLength: 24 }];
  const planned = planNetwork(links, dhcp, read.hosts, {}, new Set(), { all: read.subnets, earlier: {} });
  assert.ok('plan' in planned, JSON.stringify(planned));
  const lives = [{ host: 'far', stage: 'waking' }] as unknown as Life[];
  return makeScene({ ...planned.plan, loaders: { x64: 'snponly.efi' }, httpPort: 7480 }, read.hosts, lives);
}

/** OVMF's DISCOVER as a relay passes it on, with a circuit of its own in option 82 (RFC 3046). */
function relayed(
  giaddr: string,
  more: { kind?: 'DISCOVER' | 'REQUEST'; address?: string; server?: string } = {},
): string {
  const packet = decodeDhcp(Buffer.from(ovmf('DISCOVER', known), 'hex'));
  const options = packet.options.filter(([code]) => code !== 53);
  const octets = (text: string) => Uint8Array.from(text.split('.').map(Number));
  const bytes = encodeDhcp({
    ...packet,
    giaddr,
    hops: 1,
    options: [
      [53, Uint8Array.of(more.kind === 'REQUEST' ? 3 : 1)],
      ...(more.address === undefined ? [] : [[50, octets(more.address)] as const]),
      ...(more.server === undefined ? [] : [[54, octets(more.server)] as const]),
      ...options,
      [82, Uint8Array.of(1, 4, 1, 2, 3, 4)],
    ],
  });
  return Buffer.from(bytes).toString('hex');
}

describe('Nixie and foreign relays', { skip, timeout: 600_000 }, () => {
  let net: Network;
  let folder: string;
  const clients: string[] = [];

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'nixie-subnets-'));
    net = await makeNetwork({ second: true, directedBroadcast: true });
  });
  after(async () => {
    for (const name of clients) await run(['ip', 'netns', 'del', name], { accept: true });
    await net?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** A machine on the second subnet, as a namespace. */
  const plugIn = async (link: string): Promise<string> => {
    const name = `${net.id}-${link}`;
    await run(['ip', 'netns', 'add', name]);
    clients.push(name);
    const lines = [
      `link add name c-${link} type veth peer name eth0 address ${known} netns ${name}`,
      `link set c-${link} master br0 up`,
    ];
    await run(['ip', '-n', net.lan2!, '-batch', '-'], { input: `${lines.join('\n')}\n` });
    await run(['ip', '-n', name, 'link', 'set', 'eth0', 'up']);
    return name;
  };
  const unplug = async (name: string): Promise<void> => {
    await run(['ip', 'netns', 'del', name], { accept: true });
    clients.splice(clients.indexOf(name), 1);
  };
  const serve = (scene: ReturnType<typeof sceneOf>, alsoAt: object[] = []): Promise<Talker> =>
    startTalker(net.inside(net.srv, node('dhcp/serve.ts', JSON.stringify(scene), JSON.stringify(alsoAt))));
  const scripted = (): Promise<Talker> =>
    startTalker(net.inside(net.rt!, node('dhcp/router.ts', `${lan.router},${lan2.router}`)));
  const packetOf = (line: Record<string, unknown>) => decodeDhcp(Buffer.from(String(line.hex), 'hex'));

  test('a relay that asks by unicast, and one that broadcasts on our segment, are each answered once, at giaddr', async () => {
    const doors = await serve(sceneOf({ cidr, range: `${lan2.prefix}.100-${lan2.prefix}.199` }, 'proxy'));
    const relay = await scripted();
    try {
      // Relays may use any source address; the answer goes to giaddr all the same (RFC 2131 4.1).
      for (const [from, to] of [
        [lan.router, lan.nixie], // the socket that is bound to our address
        [lan2.router, lan.nixie],
        [lan.router, `${lan.prefix}.255`], // the wildcard
      ] as const) {
        await relay.ask({ hex: relayed(lan2.router), from, to, port: 67 });
        const [answer, ...more] = await quiet(relay, 1);
        assert.deepEqual(more, [], 'once');
        assert.deepEqual([answer!.at, answer!.from, answer!.fromPort], [lan2.router, lan.nixie, 67]);
        const packet = packetOf(answer!);
        assert.deepEqual([packet.yiaddr, packet.giaddr, packet.hops], [leased, lan2.router, 1]);
        assert.deepEqual([packet.options.at(-1)![0], ...packet.options.at(-1)![1]], [82, 1, 4, 1, 2, 3, 4]);
        assert.deepEqual([...(option(packet, 3) ?? [])], [10, 78, 0, 254]);
      }
      const seen = await doors.hear('the relay', (line) => (line.seen as { giaddr?: string })?.giaddr === lan2.router);
      assert.deepEqual((seen.seen as { subnet?: string }).subnet, cidr);
    } finally {
      await Promise.all([relay.stop(), doors.stop()]);
    }
  });

  test('firmware that asks port 4011 past the relay is answered there', async () => {
    const doors = await serve(sceneOf({ cidr }, 'proxy'));
    const machine = await plugIn('pxe');
    await run(['ip', '-n', machine, 'addr', 'add', `${lan2.prefix}.9/24`, 'dev', 'eth0']);
    await run(['ip', '-n', machine, 'route', 'add', 'default', 'via', lan2.router]);
    const station = await startTalker(net.inside(machine, node('sockets/station.ts', '4011,3000')));
    try {
      for (const fromPort of [4011, 3000]) {
        await station.ask({ hex: ovmf('boot server REQUEST', known), fromPort, to: lan.nixie, port: 4011 });
        const answer = await station.hear('an answer', () => true);
        assert.deepEqual([answer.port, answer.from, answer.fromPort], [fromPort, lan.nixie, 4011]);
        assert.match(Buffer.from(packetOf(answer).file).toString('latin1'), /^snponly\.efi\0/);
      }
    } finally {
      await Promise.all([station.stop(), doors.stop()]);
      await unplug(machine);
    }
  });

  test('an address of the loopback, declared as ours there, answers on each port as itself, and is in each answer', async () => {
    const ours = '203.0.113.7';
    await run(['ip', '-n', net.srv, 'addr', 'add', `${ours}/32`, 'dev', 'lo']);
    await run(['ip', '-n', net.rt!, 'route', 'add', ours, 'via', lan.nixie]);
    const scene = sceneOf({ cidr, controller_address: ours, range: `${lan2.prefix}.100-${lan2.prefix}.199` }, 'proxy');
    const doors = await serve(scene, [{ name: 'eth0', address: ours }]);
    const relay = await scripted();
    try {
      for (const to of [ours, lan.nixie]) {
        await relay.ask({ hex: relayed(lan2.router), from: lan.router, to, port: 67 });
        const [answer, ...more] = await quiet(relay, 1);
        assert.deepEqual(more, []);
        assert.equal(answer!.from, to);
        const packet = packetOf(answer!);
        assert.deepEqual([packet.siaddr, ...(option(packet, 54) ?? [])], [ours, 203, 0, 113, 7]);
      }
      const into = join(folder, 'loader');
      await run(net.inside(net.rt!, ['tftp', '-m', 'octet', ours, '-c', 'get', 'snponly.efi', into]));
      assert.equal(statSync(into).size, 1000);
    } finally {
      await Promise.all([relay.stop(), doors.stop()]);
      await run(['ip', '-n', net.srv, 'addr', 'del', `${ours}/32`, 'dev', 'lo']);
      await run(['ip', '-n', net.rt!, 'route', 'del', ours]);
    }
  });

  test('behind a relay of which nothing is declared: a boot file beside another server, no address as the only one', async () => {
    for (const wish of ['proxy', 'range'] as const) {
      const doors = await serve(sceneOf(undefined, wish));
      const relay = await scripted();
      try {
        await relay.ask({ hex: relayed(lan2.router), from: lan.router, to: lan.nixie, port: 67 });
        const line = await doors.hear(
          'the relay',
          ({ seen }) => (seen as { undeclared?: boolean })?.undeclared === true,
        );
        const seen = line.seen as Record<string, unknown>;
        assert.equal(seen.giaddr, lan2.router);
        const answers = await quiet(relay, wish === 'range' ? 0 : 1);
        if (wish === 'range') {
          assert.deepEqual(answers, []);
          assert.equal(seen.why, 'undeclared subnet');
        } else {
          assert.equal(answers.length, 1);
          assert.deepEqual([packetOf(answers[0]!).yiaddr, packetOf(answers[0]!).siaddr], ['0.0.0.0', lan.nixie]);
        }
      } finally {
        await Promise.all([relay.stop(), doors.stop()]);
      }
    }
  });

  test('an answer that finds no way back to the relay is told, with the relay', async () => {
    const doors = await serve(sceneOf({ cidr, range: `${lan2.prefix}.100-${lan2.prefix}.199` }, 'proxy'));
    const relay = await scripted();
    await run(['ip', '-n', net.srv, 'route', 'del', cidr]);
    try {
      await relay.ask({ hex: relayed(lan2.router), from: lan.router, to: lan.nixie, port: 67 });
      const line = await doors.hear(
        'that it is unsent',
        ({ seen }) => (seen as { kind?: string })?.kind === 'dhcp-unsent',
      );
      const seen = line.seen as Record<string, unknown>;
      assert.equal(seen.giaddr, lan2.router);
      assert.equal(seen.detail, 'no route from eth0');
    } finally {
      await run(['ip', '-n', net.srv, 'route', 'add', cidr, 'via', lan.router]);
      await Promise.all([relay.stop(), doors.stop()]);
    }
  });

  for (const kind of ['dhcrelay', 'dnsmasq'] as const)
    test(`a client behind ${kind} gets its address and its name servers, and renews by unicast when the router is declared`, async () => {
      const router = `${lan2.prefix}.254`;
      const dns = [lan.nixie, lan2.router];
      const range = `${lan2.prefix}.100-${lan2.prefix}.199`;
      const doors = await serve(sceneOf({ cidr, range, router, dns }, 'proxy'));
      const relay = await startRelay(net, { kind, servers: [lan.nixie], deadlineMs: 300_000 });
      const machine = await plugIn(kind === 'dhcrelay' ? 'isc' : 'dnsm');
      const script = join(folder, 'client.sh');
      writeFileSync(
        script,
        `#!/bin/sh\n[ "$1" = bound ] && ip addr add "$ip/24" dev "$interface" && ip route replace default via "$router"\necho "$1 $ip $subnet $router $serverid $dns"\n`,
        { mode: 0o755 },
      );
      let client: DhcpClient | undefined;
      try {
        client = startDhcpClient(
          net.inside(machine, ['udhcpc', '-i', 'eth0', '-f', '-n', '-t', '20', '-T', '1', '-s', script]),
        );
        const given = `${leased} 255.255.255.0 ${router} ${lan.nixie} ${dns.join(' ')}`;
        assert.equal(await client.said('bound'), `bound ${given}`);
        client.renew();
        assert.equal(await client.said('renew'), `renew ${given}`);
        const renewed = await doors.hear('the renewal', ({ seen }) => {
          const { asked, giaddr, subnet } = (seen ?? {}) as Record<string, unknown>;
          return asked === 'REQUEST' && giaddr === undefined && subnet === cidr;
        });
        assert.equal((renewed.seen as { why?: string }).why, 'address confirmed');
      } finally {
        await client?.stop();
        await Promise.all([relay.stop(), doors.stop()]);
        await unplug(machine);
      }
    });

  test('a magic packet for the subnet goes through a router that lets directed broadcasts through, and through no other', async () => {
    const machine = await plugIn('wol');
    await run([
      'ip',
      '-n',
      machine,
      'addr',
      'add',
      `${lan2.prefix}.9/24`,
      'broadcast',
      `${lan2.prefix}.255`,
      'dev',
      'eth0',
    ]);
    const station = await startTalker(net.inside(machine, node('sockets/station.ts', '9,7')));
    const wake = async () => {
      const argv = node('dhcp/serve-wake.ts', known, '[]', JSON.stringify([{ broadcast: `${lan2.prefix}.255` }]));
      const { stdout } = await run(net.inside(net.srv, argv));
      return JSON.parse(stdout) as { sent: number; failures: string[] };
    };
    const forwarding = (value: string) =>
      run(net.inside(net.rt!, ['sh', '-c', `echo ${value} > /proc/sys/net/ipv4/conf/lan1/bc_forwarding`]));
    try {
      assert.deepEqual(await wake(), { sent: 6, failures: [] });
      const heard = await quiet(station, 6);
      assert.deepEqual([...new Set(heard.map(({ port }) => port))].sort(), [7, 9]);
      assert.ok(heard.every(({ from }) => from === lan.nixie));
      await forwarding('0');
      assert.equal((await wake()).sent, 6, 'nobody tells the sender');
      assert.deepEqual(await quiet(station), []);
    } finally {
      await forwarding('1');
      await station.stop();
      await unplug(machine);
    }
  });
});
