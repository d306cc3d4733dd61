// Nixie as the DHCP server of its own LAN and, through ISC dhcrelay, of one behind a router; the clients are busybox's udhcpc.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before, describe } from 'node:test';
import type { Scene } from '../../controller/src/answer/scene.ts';
import { explain, explainFile } from '../../controller/src/explain/explain.ts';
import type { Seen } from '../../controller/src/listen/seen.ts';
import { option } from '../../controller/src/wire/dhcp4/packet.ts';
import { type Child, run, start } from '../lab/child.ts';
import { needNetns, needPrograms, skipUnless } from '../lab/need.ts';
import { lan, lan2, makeNetwork, type Network } from '../lab/net.ts';
import { until } from '../lab/patience.ts';
import { ovmf } from '../lab/sockets/firmware-packets.ts';
import { startTalker, type Talker } from '../lab/sockets/talker.ts';
import { startDhcpClient } from '../lab/udhcpc.ts';

const skip = skipUnless(needNetns, needPrograms(['ip', 'setpriv', 'dhcrelay', 'udhcpc', 'tcpdump']));
const near = { mac: '52:54:00:93:00:01', address: '10.77.0.150', link: 'near' };
const far = { mac: '52:54:00:93:00:02', address: '10.78.0.107', link: 'far' };
const stranger = { mac: '52:54:00:93:00:99', link: 'stranger' };

const scene: Scene = {
  interfaces: {
    eth0: {
      name: 'eth0',
      address: lan.nixie,
      prefixLength: 24,
      dhcp: 'range',
      router: lan.router,
      dns: [],
      leaseSeconds: 600,
      networks: [{ key: `${lan2.prefix}.0/24`, address: `${lan2.prefix}.0`, prefixLength: 24, dhcp: 'range' }],
    },
  },
  machineOfMac: { [near.mac]: 'near', [far.mac]: 'far' },
  machines: {
    near: { name: 'near', offer: 'installer', system: 'x86_64-linux', addresses: { [near.mac]: near.address } },
    far: { name: 'far', offer: 'installer', system: 'x86_64-linux', addresses: { [far.mac]: far.address } },
  },
  loaders: { x64: 'snponly.efi' },
  httpPort: 7480,
};

/** Says what udhcpc was given, and takes the address, so that it can renew. */
const clientScript = `#!/bin/sh
[ "$1" = deconfig ] && ip link set "$interface" up
[ "$1" = bound ] && ip addr add "$ip/24" dev "$interface" && ip route replace default via "$router"
echo "$1 $ip $subnet $router $serverid $siaddr $lease"
`;

describe('Nixie as DHCP server, near and through a relay', { skip, timeout: 600_000 }, () => {
  let net: Network;
  let folder: string;
  let doors: Talker;
  let relay: Child;
  let capture: Child;
  const clients: string[] = [];
  const pcap = (): string => join(folder, 'server.pcap');

  const startProgram = async (argv: string[], readyWord: string): Promise<Child> => {
    let ready = false;
    const child = start(argv, {
      deadlineMs: 600_000,
      onLine: (line) => {
        ready ||= line.includes(readyWord);
      },
    });
    await until(`${argv.join(' ')} to be ready`, () => ready);
    return child;
  };

  /** A namespace with one card on a bridge. */
  const plugIn = async (bridgeNs: string, { link, mac }: { link: string; mac: string }): Promise<string> => {
    const name = `${net.id}-${link}`;
    await run(['ip', 'netns', 'add', name]);
    clients.push(name);
    const lines = [
      `link add name c-${link} type veth peer name eth0 address ${mac} netns ${name}`,
      `link set c-${link} master br0 up`,
    ];
    await run(['ip', '-n', bridgeNs, '-batch', '-'], { input: `${lines.join('\n')}\n` });
    await run(['ip', '-n', name, 'link', 'set', 'eth0', 'up']);
    return name;
  };

  /** Asks so many times, every second, then gives up. */
  const udhcpc = (namespace: string, asks: number, ...more: string[]): string[] => {
    const words = ['-i', 'eth0', '-f', '-n', '-t', String(asks), '-T', '1', '-V', 'nixie-agent'];
    return net.inside(namespace, ['udhcpc', ...words, '-s', join(folder, 'client.sh'), ...more]);
  };

  /** Everything that the server's card has seen so far. */
  const seen = () => explain(readFileSync(pcap()), { scene: { scene, interface: 'eth0' } }).packets;
  type Dhcp = Extract<ReturnType<typeof seen>[number], { kind: 'dhcp' }>;
  /** DHCP packets of one client, once they are what is awaited: the capture is a moment behind. */
  const seenOf = async (mac: string, holds: (packets: readonly Dhcp[]) => boolean): Promise<Dhcp[]> => {
    const chaddr = mac.replaceAll(':', '');
    let found: Dhcp[] = [];
    await until(`packets of ${mac}`, () => {
      found = seen().filter((each): each is Dhcp => {
        return each.kind === 'dhcp' && Buffer.from(each.packet.chaddr.subarray(0, 6)).toString('hex') === chaddr;
      });
      return holds(found);
    });
    return found;
  };
  /** A client that is kept waiting asks again; each asking is answered. */
  const allAnswered = (packets: readonly Dhcp[]) => {
    const replies = packets.filter(({ packet }) => packet.op === 2).length;
    return replies > 0 && replies === packets.length - replies;
  };

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'nixie-dhcp-'));
    writeFileSync(join(folder, 'client.sh'), clientScript, { mode: 0o755 });
    net = await makeNetwork({ second: true });
    const serve = new URL('../lab/dhcp/serve.ts', import.meta.url).pathname;
    doors = await startTalker(net.inside(net.srv, [process.execPath, serve, JSON.stringify(scene)]));
    const relayWords = ['dhcrelay', '-d', '-4', '-a', '-m', 'append', '-id', 'lan2', '-iu', 'lan1', lan.nixie];
    relay = await startProgram(net.inside(net.rt!, relayWords), 'Sending on');
    const dump = ['tcpdump', '-i', 'eth0', '-n', '-U', '--immediate-mode', '-Z', 'root', '-w', pcap(), 'udp'];
    capture = await startProgram(net.inside(net.srv, dump), 'listening on');
  });

  after(async () => {
    await Promise.all([capture?.stop(), relay?.stop(), doors?.stop()]);
    for (const name of clients) await run(['ip', 'netns', 'del', name], { accept: true });
    await net?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test('a client on our LAN gets its address, and renews it by unicast', async () => {
    const namespace = await plugIn(net.lan, near);
    const client = startDhcpClient(udhcpc(namespace, 20));
    try {
      const given = `${near.address} 255.255.255.0 ${lan.router} ${lan.nixie} ${lan.nixie} 600`;
      assert.equal(await client.said('bound'), `bound ${given}`);
      client.renew();
      assert.equal(await client.said('renew'), `renew ${given}`);
      const renewing = (packets: readonly Dhcp[]) => packets.filter(({ packet }) => packet.ciaddr === near.address);
      const renewals = renewing(await seenOf(near.mac, (packets) => allAnswered(renewing(packets))));
      // Told to renew, udhcpc asks the server itself, and on some runs everybody as well; each asking is answered alike.
      const way = ({ from, to }: (typeof renewals)[number]) =>
        `${from?.address}:${from?.port} > ${to?.address}:${to?.port}`;
      const asked = renewals.filter(({ from }) => from?.address === near.address).map(way);
      const answered = renewals.filter(({ from }) => from?.address !== near.address).map(way);
      assert.ok(asked.includes(`${near.address}:68 > ${lan.nixie}:67`), asked.join());
      assert.deepEqual(
        answered,
        asked.map(() => `${lan.nixie}:67 > ${near.address}:68`),
      );
    } finally {
      await client.stop();
    }
  });

  test('a client behind the relay gets its address of that network; option 82 comes back unchanged and last', async () => {
    const namespace = await plugIn(net.lan2!, far);
    const { stdout } = await run(udhcpc(namespace, 20, '-q'));
    assert.match(
      stdout,
      new RegExp(`^bound ${far.address} 255.255.255.0 ${lan2.router} ${lan.nixie} ${lan.nixie} 600$`, 'm'),
    );
    const typeOf = ({ packet }: Dhcp) => option(packet, 53)?.[0];
    const relayed = await seenOf(far.mac, (all) => allAnswered(all) && all.some((each) => typeOf(each) === 5));
    const types = relayed.map(typeOf);
    assert.deepEqual([...new Set(types)], [1, 2, 3, 5], 'DISCOVER, OFFER, REQUEST, ACK');
    for (const each of relayed) {
      assert.equal(each.packet.giaddr, lan2.router);
      const last = each.packet.options.at(-1)!;
      assert.deepEqual([last[0], Buffer.from(last[1]).toString('latin1')], [82, '\x01\x04lan2']);
      if (each.packet.op === 2) assert.deepEqual(each.to, { address: lan2.router, port: 67 });
    }
  });

  test('firmware behind the relay is offered its loader', async () => {
    const station = await startTalker(
      net.inside(`${net.id}-far`, [
        process.execPath,
        new URL('../lab/sockets/station.ts', import.meta.url).pathname,
        '68',
      ]),
    );
    try {
      const hex = ovmf('DISCOVER', far.mac);
      await station.ask({ hex, fromPort: 68, to: '255.255.255.255', port: 67 });
      const offer = Buffer.from(String((await station.hear('an offer', () => true)).hex), 'hex');
      assert.match(offer.subarray(108, 236).toString('latin1'), /^snponly\.efi\0/);
      assert.deepEqual([...offer.subarray(16, 20)], [10, 78, 0, 107]);
      const xid = Number.parseInt(hex.slice(8, 16), 16);
      const firmwares = (all: readonly Dhcp[]) => all.filter(({ packet }) => packet.xid === xid);
      const packets = firmwares(await seenOf(far.mac, (all) => allAnswered(firmwares(all))));
      assert.deepEqual(
        packets.map(({ packet }) => packet.op),
        [1, 2],
      );
    } finally {
      await station.stop();
    }
  });

  test('a client that is not listed gets no byte, near or far', async () => {
    for (const bridgeNs of [net.lan, net.lan2!]) {
      const card = { ...stranger, link: bridgeNs === net.lan ? 'sn' : 'sf' };
      const namespace = await plugIn(bridgeNs, card);
      const { code } = await run(udhcpc(namespace, 3), { accept: true });
      assert.equal(code, 1, 'it gives up');
    }
    const packets = await seenOf(stranger.mac, ({ length }) => length >= 6);
    for (const { packet, decision } of packets) assert(packet.op === 1 && decision?.why === 'unknown machine');
    assert.deepEqual([...new Set(packets.map(({ packet }) => packet.giaddr))], ['0.0.0.0', lan2.router]);
  });

  test('the whole capture is explained, and each reply is the one that the explanation gives', async () => {
    await capture.stop();
    const packets = seen();
    assert.equal(explainFile(readFileSync(pcap())).failures, 0);
    const options = (packet: { options: readonly (readonly [number, Uint8Array])[] }) =>
      packet.options.map(([code, value]) => [code, Buffer.from(value).toString('hex')]);
    let compared = 0;
    packets.forEach((each, index) => {
      if (each.kind !== 'dhcp' || each.decision?.kind !== 'reply') return;
      const { xid } = each.packet;
      const reply = packets
        .slice(index + 1)
        .find((later) => later.kind === 'dhcp' && later.packet.op === 2 && later.packet.xid === xid);
      assert(reply?.kind === 'dhcp');
      assert.deepEqual(options(each.decision.packet), options(reply.packet));
      assert.deepEqual(each.decision.to, reply.to);
      compared += 1;
    });
    assert(compared >= 6, `${compared} replies`);
  });

  test('who asks TFTP, in a thread of its own, is known by what DHCP heard of the address', async () => {
    const ask = `
      const socket = require('node:dgram').createSocket('udp4').bind(0, '${near.address}');
      const request = Buffer.from('\\0\\x01nothing\\0octet\\0', 'latin1');
      const asking = setInterval(() => socket.send(request, 69, '${lan.nixie}'), 500);
      socket.on('message', () => { clearInterval(asking); socket.close(); });
    `;
    await run(['ip', 'netns', 'exec', `${net.id}-${near.link}`, process.execPath, '-e', ask]);
    const { seen } = await doors.hear('a refusal', (line) => (line.seen as Seen | undefined)?.kind === 'tftp-refused');
    assert.deepEqual(
      [(seen as Seen).mac, (seen as Seen).machine, (seen as Seen).detail],
      [near.mac, 'near', 'nothing'],
    );
  });

  // capabilities(7): CAP_SYS_NICE is 23.
  const capable = (BigInt(`0x${/^CapEff:\s*(\w+)/m.exec(readFileSync('/proc/self/status', 'utf8'))![1]}`) >> 23n) & 1n;
  const mayComeFirst = { skip: capable === 1n ? false : 'without CAP_SYS_NICE' };
  test('run by root, the thread that firmware waits for comes before others', mayComeFirst, () => {
    const tasks = `/proc/${doors.child.pid}/task`;
    // proc(5): what stands behind the name in parentheses begins with field 3; nice is field 19.
    const nice = readdirSync(tasks).map((tid) =>
      Number(
        readFileSync(`${tasks}/${tid}/stat`, 'utf8')
          .replace(/^.*\) /s, '')
          .split(' ')[16],
      ),
    );
    assert.equal(nice.filter((each) => each === -10).length, 1, nice.join());
  });
});
