// Four machines behind one relay whose uplink is shaped to 100 Mbit/s: what they boot and what is copied to them crosses it once, and four take hardly
// longer than one. The controller and the relay are the real programs; machines are namespaces that fetch by curl and copy by nix.
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import test, { after, before, describe } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadCacheKey } from '../../controller/src/store/cache-key.ts';
import { run } from '../lab/child.ts';
import { needNetns, needPrograms, skipUnless } from '../lab/need.ts';
import { lan } from '../lab/net.ts';
import { patienceMs } from '../lab/patience.ts';
import { type RelayProcess, startRelay } from '../lab/relay/relay-process.ts';
import { makeToyService, type ToyService } from '../lab/toy-service.ts';

const skip = skipUnless(
  needNetns,
  needPrograms(['ip', 'tc', 'setpriv', 'unshare', 'nix', 'nix-store', 'busybox', 'ssh', 'ssh-keygen', 'curl']),
);
const names = ['m1', 'm2', 'm3', 'm4'] as const;
const far = { relay: '10.98.0.1', prefix: '10.98.0', cidr: '10.98.0.0/24' } as const;
const macOf = (index: number) => `52:54:00:98:01:0${index + 1}`;
const megabits = 100;
/** Random bytes, so that nothing on the way makes them less. */
const payload = (name: string, file: string, bytes: number) =>
  `mk "${name}" "mkdir $out; head -c ${bytes} /dev/urandom > $out/${file}"`;
const large = `{ kernel = ${payload('payload-kernel', 'bzImage', 24_000_000)}; netbootRamdisk = ${payload('payload-initrd', 'initrd', 24_000_000)}; }`;
const configurations = [
  ...names.map((name) => `${name} = host "${name}" ${large};`),
  `installer = host "installer" { netbootRamdisk = ${payload('image', 'initrd', 40_000_000)}; };`,
].join(' ');

describe('a fleet behind one relay on a slow uplink', { skip, timeout: 900_000 }, () => {
  let service: ToyService;
  let relayNs: string;
  let token: string;
  let publicKey: string;
  const machines: string[] = [];
  const relays: RelayProcess[] = [];
  const systems: string[] = [];

  before(async () => {
    service = await makeToyService(configurations);
    const { net } = service;
    relayNs = await net.addServer('relay', `${lan.prefix}.3`);
    for (const [namespace, card] of [
      [net.lan, 'v-relay'],
      [relayNs, 'eth0'],
    ] as const)
      await run(
        net.inside(
          namespace,
          `tc qdisc add dev ${card} root tbf rate ${megabits}mbit burst 256kb latency 100ms`.split(' '),
        ),
      );
    const ip = (lines: readonly string[]) =>
      run(['ip', '-n', relayNs, '-batch', '-'], { input: `${lines.join('\n')}\n` });
    await ip([
      'link add name lan0 type bridge stp_state 0 forward_delay 0',
      `addr add ${far.relay}/24 brd + dev lan0`,
      'link set lan0 up',
    ]);
    for (const [i, name] of names.entries()) {
      const namespace = `${net.id}-${name}`;
      await run(['ip', 'netns', 'add', namespace]);
      machines.push(namespace);
      await ip([
        `link add name p${i} type veth peer name eth0 address ${macOf(i)} netns ${namespace}`,
        `link set p${i} master lan0 up`,
      ]);
      const lines = ['link set lo up', 'link set eth0 up', `addr add ${far.prefix}.${101 + i}/24 dev eth0`];
      await run(['ip', '-n', namespace, '-batch', '-'], { input: `${lines.join('\n')}\n` });
    }
    token = join(service.folder, 'rack7.token');
    const made = await service.command('relay-token', 'rack7', '--url', `https://${lan.nixie}`, '--out', token);
    assert.equal(made.code, 0, made.err);
    service.writeHosts({
      $subnets: [{ cidr: far.cidr, relay: 'rack7' }],
      ...Object.fromEntries(names.map((name, i) => [name, { mac_address: macOf(i), relay: 'rack7' }])),
    });
    const serve = service.start();
    // Nothing is known of machines before their relay has looked for them.
    const first = startRelay((argv) => service.net.inside(relayNs, argv), relayWords());
    relays.push(first);
    for (const name of names)
      await serve.waitEvent(
        (event) => event.event === 'stage' && event.host === name && event.stage === 'waking',
        120_000,
      );
    await forget(first);
    publicKey = loadCacheKey(join(service.state, 'cache-key')).publicText;
    for (const name of names) {
      const { out } = await service.command('status', '--json');
      const found = out.split('\n').flatMap((line) => (line.includes(`"${name}"`) ? [JSON.parse(line)] : []));
      const { toplevel } = found[0] as { toplevel?: string };
      assert.match(toplevel ?? '', /^\/nix\/store\//, out);
      systems.push(toplevel!);
    }
  });

  after(async () => {
    await Promise.all(relays.map((each) => each.stop()));
    for (const namespace of machines) await run(['ip', 'netns', 'del', namespace], { accept: true });
    await service?.close();
  });

  const relayState = () => join(service.folder, 'relay');
  const relayWords = () => ['--token', token, '--interface', 'lan0', '--cache-size', '1G', '--state', relayState()];
  /** Ends a relay. The key by which it is known stays; what it kept does not. */
  const forget = async (relay: RelayProcess) => {
    assert.equal((await relay.stop()).code, 0);
    for (const kept of ['cache', 'narinfo']) rmSync(join(relayState(), kept), { recursive: true, force: true });
  };

  /** Kernel, initrd and closure of one machine; bytes of each. */
  const bring = async (index: number, round: string): Promise<{ image: number; closure: number }> => {
    const inside = (argv: readonly string[]) => service.net.inside(machines[index]!, argv);
    const at = join(service.folder, `${round}-${names[index]}`);
    const url = `http://${far.relay}:7480/boot/${macOf(index).replaceAll(':', '-')}.ipxe`;
    let files: string[] = [];
    for (const end = Date.now() + 2 * patienceMs; files.length < 2; ) {
      const { stdout } = await run(inside(['curl', '-sS', '-m', '20', url]), { accept: true });
      files = [...stdout.matchAll(/http:\/\/\S+\/[0-9a-f]{64}\/(?:kernel|initrd)/g)].map(([each]) => each);
      assert.ok(Date.now() < end, stdout);
      if (files.length < 2) await sleep(100);
    }
    let image = 0;
    for (const file of files) {
      const line = `curl -sSf -m 100 '${file}' | tee >(wc -c >&2) | sha256sum`;
      const { stdout, stderr } = await run(inside(['bash', '-c', line]), { deadlineMs: 120_000 });
      assert.equal(stdout.split(' ')[0], /[0-9a-f]{64}/.exec(file)![0]);
      image += Number(stderr.trim());
    }
    const env = { ...process.env, HOME: at, NIX_CONF_DIR: join(service.folder, 'conf'), NIX_REMOTE: '' };
    const nix = (...words: string[]) =>
      run(inside(['nix', '--extra-experimental-features', 'nix-command', ...words]), { env, deadlineMs: 300_000 });
    const trust = ['--option', 'trusted-public-keys', publicKey, '--option', 'narinfo-cache-negative-ttl', '0'];
    await nix('copy', ...trust, '--from', `http://${far.relay}:7480/nix`, '--to', at, systems[index]!);
    const { stdout } = await nix('path-info', '--json', '--recursive', '--store', at, systems[index]!);
    const paths = JSON.parse(stdout) as { narSize: number }[] | Record<string, { narSize: number }>;
    const closure = Object.values(paths).reduce((sum, { narSize }) => sum + narSize, 0);
    await run(['chmod', '-R', 'u+w', at], { accept: true });
    rmSync(at, { recursive: true, force: true });
    return { image, closure };
  };
  const received = async (): Promise<number> =>
    Number((await run(service.net.inside(relayNs, ['cat', '/sys/class/net/eth0/statistics/rx_bytes']))).stdout.trim());

  /** From a relay that has nothing: seconds since its first plan, and bytes that came over the uplink since its start. */
  const bringAll = async (count: number, round: string) => {
    const before = await received();
    const relay = startRelay((argv) => service.net.inside(relayNs, argv), relayWords());
    relays.push(relay);
    await relay.logged({ event: 'plan', files: 2 }, 2 * patienceMs);
    const began = performance.now();
    const got = await Promise.all(names.slice(0, count).map((_, index) => bring(index, round)));
    const seconds = (performance.now() - began) / 1000;
    const bytes = (await received()) - before;
    await forget(relay);
    return { got, seconds, bytes };
  };

  test('four cost the uplink what one costs, and hardly more time', async (t) => {
    // The computer has other things to do: one round of three must be good in time, each in bytes.
    const ratios: number[] = [];
    for (let round = 1; round <= 3; round++) {
      const one = await bringAll(1, `${round}-one`);
      const four = await bringAll(4, `${round}-four`);
      const [{ image, closure }] = one.got as [{ image: number; closure: number }];
      assert.ok(image > 40e6 && closure > 48e6, `${image} ${closure}`);
      for (const each of four.got) assert.equal(each.image, image);
      const copies = (four.bytes / (image + closure)).toFixed(3);
      ratios.push(four.seconds / one.seconds);
      t.diagnostic(
        `round ${round}: ${((image + closure) / 1e6).toFixed(1)} MB; one ${one.seconds.toFixed(1)} s, four ${four.seconds.toFixed(1)} s, over the uplink ${copies} copies`,
      );
      assert.ok(four.bytes >= image + closure, 'it did cross the uplink');
      assert.ok(four.bytes <= 1.15 * (image + closure), `${copies} copies crossed the uplink`);
      const least = (image * 8) / (megabits * 1e6);
      assert.ok(one.seconds > least, 'the uplink is as slow as it is meant to be');
      if (ratios.at(-1)! <= 1.3) break;
    }
    assert.ok(
      Math.min(...ratios) <= 1.3,
      `four took ${ratios.map((each) => each.toFixed(2)).join(', ')} times as long`,
    );
  });
});
