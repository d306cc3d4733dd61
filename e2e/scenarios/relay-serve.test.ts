// The real `nixie serve` and the real `nixie relay`, and a machine between which and the controller there is no route: from its first DISCOVER up to
// its registration, with the uplink cut in between, a relay that changes what it carries, false relays and a false controller, and a token that is
// revoked.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after, before, describe } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { RunEvent } from '../../controller/src/machine/event.ts';
import { joinTokenText, parseJoinToken } from '../../controller/src/machine/relay.ts';
import { makeTree, type Tree } from '../lab/agent/process.ts';
import { type Child, run, start } from '../lab/child.ts';
import { needFiles, needNetns, needPrograms, skipUnless } from '../lab/need.ts';
import { lan } from '../lab/net.ts';
import type { NixieRun } from '../lab/nixie-run.ts';
import { patienceMs, until } from '../lab/patience.ts';
import { type RelayProcess, startRelay } from '../lab/relay/relay-process.ts';
import { startTalker, type Talker } from '../lab/sockets/talker.ts';
import { makeToyService, type ToyService } from '../lab/toy-service.ts';

const skip = skipUnless(
  needNetns,
  needPrograms([
    'ip',
    'setpriv',
    'unshare',
    'udhcpc',
    'nix',
    'nix-store',
    'busybox',
    'ssh',
    'ssh-keygen',
    'curl',
    'nft',
  ]),
  needFiles(['/usr/lib/ipxe/snponly.efi', '/usr/lib/ipxe/undionly.kpxe']),
);
const inLab = (name: string) => fileURLToPath(new URL(`../lab/relay/${name}.ts`, import.meta.url));
/** Where the machine believes its relay's agent port: somebody reads and changes there what passes. */
const tamperedPort = 7999;
const agentFile = fileURLToPath(new URL('../../agent/src/main.ts', import.meta.url));
const mac = '52:54:00:98:00:01';
const far = { relay: '10.98.0.1', cidr: '10.98.0.0/24', range: '10.98.0.100-10.98.0.149' } as const;
const uplinkAddress = `${lan.prefix}.3`;

describe('nixie serve and nixie relay', { skip, timeout: 1_200_000 }, () => {
  let service: ToyService;
  let serve: NixieRun;
  let relay: RelayProcess;
  let relayNs: string;
  let machine: string;
  let tree: Tree;
  let token: string;
  let script = '';
  let tamper: Talker;
  const talkers: Talker[] = [];
  const relays: RelayProcess[] = [];
  const children: Child[] = [];
  const made: string[] = [];

  const event = (what: string, fits: (event: RunEvent) => boolean, withinMs = 2 * patienceMs): Promise<RunEvent> =>
    serve.waitEvent(fits, withinMs).catch((error: Error) => assert.fail(`${what}: ${error.message}`));
  const stage = (wanted: string) =>
    event(`m1 ${wanted}`, (each) => each.event === 'stage' && each.host === 'm1' && each.stage === wanted);
  const at = async (argv: readonly string[]) => await run(service.net.inside(machine, argv), { accept: true });
  const get = async (url: string) => await at(['curl', '-sS', '-m', '50', url]);
  const sum = async (url: string) =>
    (await at(['sh', '-c', `curl -sS -m 50 '${url}' | sha256sum`])).stdout.split(' ')[0];
  const begin = (): RelayProcess => {
    const state = join(service.folder, 'relay-state');
    const words = ['--controller', lan.nixie, '--token', token, '--interface', 'lan0', '--state', state];
    const started = startRelay((argv) => service.net.inside(relayNs, argv), [...words, '--cache-size', '1G']);
    relays.push(started);
    return started;
  };
  const cut = async (is: boolean) => {
    const rule = is
      ? 'add table inet cut { chain in { type filter hook input priority 0; iifname "eth0" drop; }; chain out { type filter hook output priority 0; oifname "eth0" drop; }; }'
      : 'delete table inet cut';
    await run(service.net.inside(relayNs, ['nft', rule]));
  };

  before(async () => {
    service = await makeToyService('m1 = host "m1" { }; installer = host "installer" { };');
    relayNs = await service.net.addServer('relay', uplinkAddress);
    machine = `${service.net.id}-far`;
    await run(['ip', 'netns', 'add', machine]);
    made.push(machine);
    const lines = [
      `link add name lan0 type veth peer name eth0 address ${mac} netns ${machine}`,
      `addr add ${far.relay}/24 brd + dev lan0`,
      'link set lan0 up',
    ];
    await run(['ip', '-n', relayNs, '-batch', '-'], { input: `${lines.join('\n')}\n` });
    await run(['ip', '-n', machine, '-batch', '-'], { input: 'link set lo up\nlink set eth0 up\n' });
    const bound = '#!/bin/sh\n[ "$1" = bound ] && ip addr add "$ip/24" dev eth0\necho "$1 $ip $serverid"\n';
    writeFileSync(join(service.folder, 'client.sh'), bound, { mode: 0o755 });
    tree = makeTree();
    token = join(service.folder, 'rack7.token');
    const url = `https://${lan.nixie}:7482`;
    const told = await service.command('relay-token', 'rack7', '--url', url, '--out', token);
    assert.equal(told.code, 0, told.err);
    service.writeHosts({
      $subnets: [{ cidr: far.cidr, range: far.range, relay: 'rack7' }],
      m1: { mac_address: mac, relay: 'rack7' },
    });
  });

  after(async () => {
    await Promise.all([...children, ...relays, ...talkers].map((each) => each.stop()));
    tree?.remove();
    for (const name of made) await run(['ip', 'netns', 'del', name], { accept: true });
    await service?.close();
  });

  test('the machine is leased its address, booted and registered through the relay alone', async () => {
    serve = service.start();
    relay = begin();
    await stage('waking');
    await relay.logged({ event: 'uplink', state: 'up' }, 2 * patienceMs);
    await relay.logged({ event: 'plan', machines: 1 }, 2 * patienceMs);
    // Loaders first.
    for (const end = performance.now() + 2 * patienceMs; ; await sleep(200)) {
      const words = ['udhcpc', '-i', 'eth0', '-f', '-q', '-n', '-t', '2', '-T', '1', '-V', 'nixie-agent'];
      const { stdout } = await at([...words, '-s', join(service.folder, 'client.sh')]);
      const [, address, server] = /^bound (\S+) (\S+)/m.exec(stdout) ?? [];
      if (address !== undefined) {
        assert.match(address, /^10\.98\.0\.1[0-4]\d$/);
        assert.equal(server, far.relay);
        break;
      }
      assert.ok(performance.now() < end, relay.lines.map((line) => JSON.stringify(line)).join('\n'));
    }
    assert.notEqual((await at(['ping', '-c1', '-W1', lan.nixie])).code, 0, 'no route to the controller');
    const name = mac.replaceAll(':', '-');
    script = (await get(`http://${far.relay}:7480/boot/${name}.ipxe`)).stdout;
    assert.match(script, /nixie\.controller=10\.98\.0\.1:7481 /);
    for (const kind of ['kernel', 'initrd']) {
      const [url = '', hash] = new RegExp(`http://\\S+/([0-9a-f]{64})/${kind}`).exec(script) ?? [];
      assert.equal(await sum(url), hash);
    }
    await stage('loading');
    const words = /kernel --name kernel \S+ (.*) \|\| goto failed/.exec(script)![1]!;
    const secret = /nixie\.token=(\S+)/.exec(words)![1]!;
    tamper = await startTalker(
      service.net.inside(machine, [process.execPath, inLab('tamper'), String(tamperedPort), far.relay, '7481', secret]),
    );
    talkers.push(tamper);
    const cmdline = words
      .replace(/BOOTIF=\S+/, `BOOTIF=01-${name}`)
      .replace(/nixie\.controller=\S+/, `nixie.controller=127.0.0.1:${tamperedPort}`);
    tree.put('proc/cmdline', `${cmdline}\n`);
    children.push(
      start(service.net.inside(machine, [process.execPath, agentFile, '--root', tree.root]), { deadlineMs: 900_000 }),
    );
    await stage('registered');
  });

  test('what the relay’s doors saw is told with its name', async () => {
    const seen = await event(
      'seen',
      (each) => each.event === 'seen' && each.host === 'm1' && each.kind === 'http-script',
    );
    assert.equal((seen as { relay?: string }).relay, 'rack7');
    const { out } = await service.command('status');
    assert.match(out, /rack7/);
  });

  const connected = async () => {
    let out = '';
    const here = async () => {
      ({ out } = await service.command('status', '--json'));
      return /"agent_connected":true/.test(out);
    };
    // It waits longer after each attempt in vain.
    await until('a session of the agent', here, () => out, 3 * patienceMs);
  };

  test('a relay sees nothing but TLS of an agent, and what it changes breaks the connection, and nothing more', async () => {
    await connected();
    const stages = () => serve.events.flatMap((each) => (each.event === 'stage' ? [each.stage] : []));
    // It has no disk that could be installed; what matters is that it stays what it is.
    await stage('refused');
    const passed = stages();
    const before = await tamper.ask({ do: 'look' });
    assert.ok(Number(before.bytes) > 2000 && Number((before.records as Record<string, number>)['23']) > 5);
    assert.equal(before.other, 0);
    assert.deepEqual(before.marks, [], 'the token, which the agent sent');
    await tamper.ask({ do: 'change' });
    for (const end = performance.now() + 3 * patienceMs; ; await sleep(200)) {
      const { changed, broken, connections } = await tamper.ask({ do: 'look' });
      if (changed === 1 && Number(broken) > Number(before.broken) && Number(connections) > Number(before.connections))
        break;
      assert.ok(performance.now() < end, JSON.stringify({ changed, broken, connections }));
    }
    await connected();
    assert.deepEqual(stages(), passed);
  });

  test('false relays are refused, and told of; the right one stays', async () => {
    const falseNs = await service.net.addServer('false', `${lan.prefix}.4`);
    const right = readFileSync(token, 'utf8');
    const attempt = async (name: string, text: string, kind: string, options: readonly string[] = []) => {
      const [state, file] = [join(service.folder, `false-${name}`), join(service.folder, `false-${name}.token`)];
      writeFileSync(file, `${text.trim()}\n`, { mode: 0o600 });
      const words = ['--token', file, '--interface', 'eth0', '--state', state, ...options];
      const one = startRelay((argv) => service.net.inside(falseNs, argv), words);
      relays.push(one);
      await one.logged({ event: 'uplink', state: 'down', kind }, 2 * patienceMs);
      assert.ok(!one.lines.some((line) => line.event === 'plan' || line.state === 'up'), 'it gets no plan');
      assert.equal((await one.stop()).code, 0);
    };
    const told = (name: string, why: RegExp) =>
      event(name, (each) => {
        if (each.event !== 'notice' || each.level !== 'warning' || !why.test(each.text)) return false;
        return /^a relay that calls itself "rack\d" was refused \(10\.77\.0\.4\): /.test(each.text);
      });
    const asRight = parseJoinToken(right);
    await attempt('wrong', joinTokenText({ ...asRight, secret: randomBytes(32) }), 'refused');
    await told('a wrong secret', /none of ours/);
    await attempt('unknown', joinTokenText({ ...asRight, name: 'rack8' }), 'refused');
    await told('an unknown name', /no token was made for that name/);
    await attempt('copied', right, 'refused');
    await told('a copied token', /was it copied\?/);
    // Token and key: all that the right one has.
    cpSync(join(service.folder, 'relay-state/relay-key.pem'), join(service.folder, 'false-twin/relay-key.pem'));
    await attempt('twin', right, 'refused');
    await told('one who has its key as well, while it is linked', /two relays use one token/);

    const inBetween = await startTalker(
      service.net.inside(falseNs, [process.execPath, inLab('false-controller'), `${lan.prefix}.4`, '7482']),
    );
    talkers.push(inBetween);
    await attempt('between', right, 'impostor', ['--controller', `${lan.prefix}.4`]);
    await inBetween.hear('the relay', (line) => line.came === true);
    assert.deepEqual(
      inBetween.heard.filter((line) => line.heard !== undefined),
      [],
      'not a byte is said to another certificate',
    );
    const { out } = await service.command('status', '--json');
    assert.match(out, /"relay":"rack7","connected":true,/);
    assert.ok(!relay.lines.some((line) => line.kind === 'refused' || line.kind === 'impostor'));
    await connected();
  });

  test('a cut uplink is lived through: the agent comes back by itself', async () => {
    await cut(true);
    await relay.logged({ event: 'uplink', state: 'down', kind: 'lost' }, 2 * patienceMs);
    const [url = '', hash] = /http:\/\/\S+\/([0-9a-f]{64})\/initrd/.exec(script) ?? [];
    assert.equal(await sum(url), hash, 'what is in the cache is served on');
    await cut(false);
    await relay.logged({ event: 'uplink', state: 'up' }, 2 * patienceMs);
    await connected();
  });

  test('a revoked token ends the link, and nobody is linked by it again', async () => {
    assert.equal((await service.command('relay-token', 'rack7', '--revoke')).code, 0);
    await relay.logged({ event: 'uplink', state: 'down', kind: 'refused' });
    await event('told', (each) => each.event === 'notice' && /rack7/.test(each.text) && /revoked/.test(each.text));
    assert.equal((await relay.stop()).code, 0);
  });
});
