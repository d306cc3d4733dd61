// The real `nixie relay` between a controller and a LAN that can't route to each other; firmware is scripted, the agent is real. It is long because
// one relay lives through it all: cut uplink, kill -9, a controller that starts anew, a full disk.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before, describe } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeTree } from '../lab/agent/process.ts';
import { type Child, run, start } from '../lab/child.ts';
import { needNetns, needPrograms, skipUnless } from '../lab/need.ts';
import { patienceMs, until } from '../lab/patience.ts';
import { makeToken, type RelayProcess, startRelay } from '../lab/relay/relay-process.ts';
import { farLan, makeSubnets, type Subnets } from '../lab/relay/subnets.ts';
import { ovmf } from '../lab/sockets/firmware-packets.ts';
import { startTalker, type Talker } from '../lab/sockets/talker.ts';

const skip = skipUnless(needNetns, needPrograms(['ip', 'setpriv', 'nft', 'curl', 'busybox']));
const repository = join(import.meta.dirname, '../..');
const mac = '52:54:00:97:00:01';
const address = `${farLan.prefix}.101`;
const other = { mac: '52:54:00:97:00:02', address: `${farLan.prefix}.102` };
const hash = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** An EFI program as far as anybody looks at it. */
function loader(): Buffer {
  const bytes = randomBytes(200_000);
  bytes.write('MZ', 0, 'latin1');
  bytes.writeUInt32LE(64, 60);
  bytes.write('PE\0\0', 64, 'latin1');
  bytes.writeUInt16LE(0x8664, 68);
  return bytes;
}
const contents = { loader: loader(), kernel: randomBytes(3 << 20), initrd: randomBytes(24 << 20) };
const ref = (bytes: Buffer) => ({ sha256: hash(bytes), bytes: bytes.length });
const initrdName = `${hash(contents.initrd)}/initrd`;

interface PlanParts {
  readonly version: number;
  readonly offer?: string;
  readonly tokens?: readonly string[];
  readonly machine?: { readonly name: string; readonly mac: string };
  readonly also?: { readonly name: string; readonly mac: string; readonly tokens: readonly string[] };
  readonly loads?: number;
}
const plan = ({ version, tokens = [], loads = 0, ...parts }: PlanParts) => ({
  version,
  loads,
  httpPort: 7480,
  agentPort: 7481,
  interfaces: [{ name: 'lan0', dhcp: 'DHCP_MODE_PROXY', leaseSeconds: 3600 }],
  machines: [{ name: 'm1', mac, ...parts.machine, tokens }, ...(parts.also === undefined ? [] : [parts.also])].map(
    ({ name, ...card }) => ({
      name,
      system: 'x86_64-linux',
      offer: parts.offer ?? 'PLAN_OFFER_INSTALLER',
      cards: [card],
    }),
  ),
  installers: [
    {
      system: 'x86_64-linux',
      kernel: ref(contents.kernel),
      initrd: ref(contents.initrd),
      kernelParams: ['init=/nix/store/x/init'],
      needsBytes: 1,
    },
  ],
  loaders: [{ firmware: 'x64', name: 'snponly.efi', file: ref(contents.loader) }],
  ahead: [ref(contents.kernel), ref(contents.initrd)],
});

describe('nixie relay', { skip, timeout: 900_000 }, () => {
  let net: Subnets;
  let folder: string;
  let controllerState: string;
  let door: Talker;
  let relay: RelayProcess;
  let place: { namespace: string; address: string };
  let machine: string;
  let neighbour: string;
  let station: Talker;
  let agent: Child | undefined;
  let mounted = false;
  const talkers: Talker[] = [];
  const relays: RelayProcess[] = [];

  const openDoor = async (): Promise<Talker> => {
    const files = Object.keys(contents).map((name) => join(folder, name));
    const made = await startTalker(
      net.inside(net.controller, [
        process.execPath,
        join(repository, 'e2e/lab/relay/serve-door.ts'),
        JSON.stringify({ stateDir: controllerState, files }),
      ]),
    );
    talkers.push(made);
    return made;
  };
  const begin = (options: readonly string[], at = place.namespace, deadlineMs = 900_000): RelayProcess => {
    const made = startRelay((argv) => net.inside(at, argv), options, deadlineMs);
    relays.push(made);
    return made;
  };
  const relayOptions = (token: string, state = 'relay-state') => [
    ...['--token', token, '--interface', 'lan0', '--state', join(folder, state)],
    ...['--cache-size', '1G', '--plan-life', '30m'],
  ];
  const send = (to: Talker, parts: PlanParts, name = 'rack7') => to.ask({ do: 'plan', relay: name, plan: plan(parts) });
  const taken = (from: Talker, version: number) =>
    from.hear(`plan ${version} taken`, ({ planTaken }) => planTaken === String(version));
  const token = async (host = 'm1', of = mac) => String((await door.ask({ do: 'token', host, mac: of })).token);
  /** Offers that a DISCOVER of OVMF brings, by their sender: `least`, and what comes in so many milliseconds more. */
  const discover = async (least: 0 | 1, from = station, of = mac, ms = 400): Promise<string[]> => {
    // Magic packets, and the empty datagrams of one who is looked for, come as well, and late offers that another DISCOVER brought.
    const xid = randomBytes(4).toString('hex');
    const offers = () => from.heard.filter(({ port, hex }) => port === 68 && String(hex).slice(8, 16) === xid);
    const packet = ovmf('DISCOVER', of);
    const hex = `${packet.slice(0, 8)}${xid}${packet.slice(16)}`;
    await from.ask({ hex, fromPort: 68, to: '255.255.255.255', port: 67 });
    await until('an offer', () => offers().length >= least);
    await sleep(ms);
    const heard = offers().map((each) => String(each.from));
    from.heard.splice(0);
    return heard;
  };
  /** A relay that was started anew reads its loaders from the cache first, and is silent until then. */
  const offered = async (of = mac): Promise<void> => {
    let ms = 200;
    const some = async () => {
      ms = Math.min(2 * ms, 10_000);
      return (await discover(0, station, of, ms)).length > 0;
    };
    await until('an offer', some);
  };
  const get = async (url: string, ...more: string[]) => await getFrom(machine, url, ...more);
  const getFrom = async (from: string, url: string, ...more: string[]) => {
    const file = join(folder, `got-${randomBytes(3).toString('hex')}`);
    const done = await run(
      net.inside(from, ['curl', '-sS', '-m', '60', '-o', file, '-w', '%{http_code}', ...more, url]),
      { accept: true },
    );
    return {
      code: done.code,
      status: done.stdout,
      bytes: done.code === 0 ? execFileSync('cat', [file], { maxBuffer: 1 << 28 }) : undefined,
    };
  };
  const script = async (from = machine, of = mac) => {
    const url = `http://${place.address}:7480/boot/${of.replaceAll(':', '-')}.ipxe`;
    const { bytes, status } = await getFrom(from, url);
    return { status, text: bytes?.toString() ?? '' };
  };
  const tokenIn = (text: string) => /nixie\.token=([0-9a-f]{32})/.exec(text)?.[1];
  const fetchedOf = async (bytes: Buffer) =>
    ((await door.ask({ do: 'count' })).fetched as Record<string, number>)[hash(bytes)] ?? 0;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'nixie-relay-'));
    controllerState = join(folder, 'controller');
    mkdirSync(controllerState, { mode: 0o700 });
    for (const [name, bytes] of Object.entries(contents)) writeFileSync(join(folder, name), bytes);
    net = await makeSubnets();
    place = await net.addRelay();
    machine = await net.addMachine(mac, address);
    station = await startTalker(
      net.inside(machine, [process.execPath, join(repository, 'e2e/lab/sockets/station.ts'), '68,4011,9']),
    );
    talkers.push(station);
  });

  after(async () => {
    await agent?.stop();
    await Promise.all(relays.map((each) => each.stop()));
    await Promise.all(talkers.map((each) => each.stop()));
    await net?.close();
    if (mounted) await run(['umount', join(folder, 'small')], { accept: true });
    rmSync(folder, { recursive: true, force: true });
  });

  test('before its controller is there it is silent, and it goes on trying', async () => {
    relay = begin(relayOptions(await makeToken(controllerState, 'rack7')));
    await relay.logged({ event: 'uplink', state: 'down' });
    assert.deepEqual(await discover(0), []);
    assert.equal((await script()).status, '403');
  });

  test('with a plan, machines get offer, loader, script and files of the relay, each file once over the uplink', async () => {
    door = await openDoor();
    await send(door, { version: 1, tokens: [await token(), await token()] });
    await taken(door, 1);
    await relay.logged({ event: 'file', what: 'kept', sha256: hash(contents.initrd) });
    await offered();
    assert.deepEqual(await discover(1), [place.address]);
    await station.ask({ hex: ovmf('boot server REQUEST', mac), fromPort: 4011, to: place.address, port: 4011 });
    const answer = await station.hear('boot server answer', ({ port }) => port === 4011);
    assert.match(Buffer.from(String(answer.hex), 'hex').subarray(108, 236).toString('latin1'), /^snponly\.efi\0/);
    const byTftp = await get(`tftp://${place.address}/snponly.efi`, '--tftp-blksize', '1428');
    assert.ok(byTftp.bytes?.equals(contents.loader));

    const { text } = await script();
    assert.match(text, new RegExp(`nixie\\.controller=${place.address.replaceAll('.', '\\.')}:7481 `));
    const served = await door.hear('script served', (line) => line.script !== undefined);
    assert.equal((served.script as { token: string }).token, tokenIn(text));
    assert.equal((served.script as { verdict: string }).verdict, 'installer');
    for (const [url, bytes] of [
      [/http:\S+\/kernel/, contents.kernel],
      [/http:\S+\/initrd/, contents.initrd],
    ] as const) {
      const got = await get(url.exec(text)![0]);
      assert.ok(got.bytes?.equals(bytes));
      assert.equal(await fetchedOf(bytes), bytes.length);
    }
    const ended = await door.hear(
      'initrd told',
      ({ file }) =>
        (file as { file?: string; ended?: boolean })?.file === initrdName &&
        (file as { ended?: boolean }).ended === true,
    );
    assert.equal((ended.file as { mac: string }).mac, mac);
    await door.hear('what was seen', ({ seen }) =>
      (seen as { seen: { kind: string; machine?: string }[] })?.seen.some(
        ({ kind, machine: name }) => kind === 'tftp-sent' && name === 'm1',
      ),
    );

    // Nobody else gets the script, nor another machine an answer.
    neighbour = await net.addMachine(other.mac, other.address);
    const stolen = await run(
      net.inside(neighbour, [
        'curl',
        '-sS',
        '-m',
        '20',
        '-w',
        '%{http_code}',
        `http://${place.address}:7480/boot/${mac.replaceAll(':', '-')}.ipxe`,
      ]),
    );
    assert.match(stolen.stdout, /403$/);
    assert.ok(!stolen.stdout.includes('nixie.token'));
    assert.deepEqual(await discover(0, station, other.mac), []);
  });

  test('an agent registers through the relay, TLS being its own with the controller', async () => {
    const { text } = await script();
    const words = /kernel --name kernel \S+ (.*) \|\| goto failed/.exec(text)![1]!;
    const tree = makeTree();
    tree.put('proc/cmdline', `${words.replace(/BOOTIF=\S+/, `BOOTIF=01-${mac.replaceAll(':', '-')}`)}\n`);
    const said: string[] = [];
    agent = start(net.inside(machine, [process.execPath, join(repository, 'agent/src/main.ts'), '--root', tree.root]), {
      deadlineMs: 900_000,
      onLine: (line) => said.push(line),
    });
    const here = async () => {
      const { registered, sessions } = await door.ask({ do: 'count' });
      return (registered as string[]).includes(mac) && Number(sessions) > 0;
    };
    await until('its registration', here, () => said.slice(-5).join('\n'));
    tree.remove();
  });

  test('the controller has a machine looked for and woken', async () => {
    assert.deepEqual((await door.ask({ do: 'find', mac })).addresses, [address]);
    const woken = await door.ask({ do: 'wake', mac });
    assert.ok(Number(woken.sent) > 0);
    const packet = await station.hear('magic packet', ({ port, hex }) => port === 9 && hex !== '');
    assert.match(String(packet.hex), new RegExp(`^f{12}(?:${mac.replaceAll(':', '')}){16}$`));
  });

  test('where one may load at a time the next one asks again, until the agent of the first is there', async () => {
    const also = { name: 'm2', mac: other.mac, tokens: [await token('m2', other.mac)] };
    await send(door, { version: 7, tokens: [await token()], also, loads: 1 });
    await taken(door, 7);
    assert.ok(tokenIn((await script()).text));
    const waits = await script(neighbour, other.mac);
    assert.match(waits.text, /waits until fewer machines load/);
    assert.equal(tokenIn(waits.text), undefined);
    await door.hear('that it waits', ({ script: served }) => (served as { verdict?: string })?.verdict === 'crowded');
    // As its agent would.
    await get(`https://${place.address}:7481/`, '-k');
    assert.equal(tokenIn((await script(neighbour, other.mac)).text), also.tokens[0]);
  });

  test('while the uplink is cut all that is known goes on, and what was seen arrives afterwards', async () => {
    const kept = await token();
    await send(door, { version: 2, tokens: [kept] });
    await taken(door, 2);
    door.heard.splice(0);
    await net.cut(true);
    await relay.logged({ event: 'uplink', state: 'down', kind: 'lost' }, 2 * patienceMs);
    assert.deepEqual(await discover(1), [place.address]);
    const first = await script();
    assert.equal(tokenIn(first.text), kept);
    const second = await script();
    assert.match(second.text, /has to wait until the relay hears of its controller/);
    assert.ok((await get(`http://${place.address}:7480/f/${initrdName}`)).bytes?.equals(contents.initrd));
    await net.cut(false);
    const served = await door.hear(
      'the script of the cut',
      (line) => (line.script as { token?: string })?.token === kept,
      2 * patienceMs,
    );
    assert.ok(Number((served.script as { unixMs: string }).unixMs) < Date.now());
    await door.hear('plan 2 taken anew', ({ planTaken }) => planTaken === '2');
    assert.equal(await fetchedOf(contents.initrd), contents.initrd.length);
  });

  test('killed and started again without its controller it is silent; with it, it serves from what it kept', async () => {
    relay.child.signal('SIGKILL');
    await relay.child.exited;
    await net.cut(true);
    relay = begin(relayOptions(join(controllerState, 'rack7.token')));
    await relay.logged({ event: 'uplink', state: 'down' }, 2 * patienceMs);
    assert.deepEqual(await discover(0), []);
    assert.equal((await get(`http://${place.address}:7480/f/${initrdName}`)).status, '404');
    await net.cut(false);
    await taken(door, 2);
    await offered();
    assert.ok((await get(`http://${place.address}:7480/f/${initrdName}`)).bytes?.equals(contents.initrd));
    assert.equal(await fetchedOf(contents.initrd), contents.initrd.length);
  });

  test('a controller that starts anew is found again, and the agent with it', async () => {
    door.child.signal('SIGKILL');
    await door.child.exited;
    await relay.logged({ event: 'uplink', state: 'down', kind: 'lost' });
    assert.deepEqual(await discover(1), [place.address]);
    door = await openDoor();
    await door.hear('linked again', ({ up }) => up === 'rack7');
    await send(door, { version: 3, offer: 'PLAN_OFFER_LOCAL' });
    await taken(door, 3);
    assert.deepEqual(await discover(0), []);
    assert.match((await script()).text, /boots from its own disk/);
    // It waits longer after each attempt in vain.
    const back = async () => Number((await door.ask({ do: 'count' })).sessions) > 0;
    await until('a session of the agent', back, undefined, 3 * patienceMs);
  });

  test('of two relays on one LAN the one answers whose plan has the machine', async () => {
    const second = await net.addRelay();
    const twin = begin(relayOptions(await makeToken(controllerState, 'rack8'), 'second'), second.namespace);
    await send(door, { version: 4, machine: { name: 'm2', mac: other.mac } }, 'rack8');
    await door.hear('linked', ({ up }) => up === 'rack8');
    await taken(door, 4);
    await twin.logged({ event: 'file', what: 'kept', sha256: hash(contents.loader) });
    await send(door, { version: 5 });
    await taken(door, 5);
    await offered(other.mac);
    assert.deepEqual(await discover(1, station, other.mac), [second.address]);
    assert.deepEqual(await discover(1, station, mac), [place.address]);
    assert.equal((await twin.stop()).code, 0);
  });

  test('what stands in its way is said: port, interface, token, state folder', async () => {
    const fails = async (options: string[], status: number, words: RegExp) => {
      const one = begin(options, place.namespace, 2 * patienceMs);
      const { code } = await one.child.exited;
      const said = [...one.lines.map((line) => String(line.text ?? '')), ...one.errors].join('\n');
      assert.equal(code, status, said);
      assert.match(said, words);
    };
    const good = join(controllerState, 'rack7.token');
    const base = ['--token', good, '--state', join(folder, 'third')];
    await fails([...base, '--interface', 'lan0'], 3, /open udp port 67 on .*: it is held by .*process \d+/);
    await fails([...base, '--interface', 'eth7'], 3, /interface eth7 is not there.*lan0/);
    await fails(
      ['--token', good, '--state', join(folder, 'relay-state'), '--interface', 'lan0'],
      3,
      /in use by a nixie/,
    );
    await fails(['--interface', 'lan0'], 2, /--token: not given/);
  });

  test('SIGTERM ends it in order, with 0', async () => {
    const { code } = await relay.stop();
    assert.equal(code, 0);
    assert.equal(relay.lines.at(-1)?.event, 'end');
    await door.hear('the link ended', ({ down }) => down === 'rack7');
  });

  test('with a full disk everything is served on, and told', async () => {
    const small = join(folder, 'small');
    mkdirSync(small);
    await run(['mount', '-t', 'tmpfs', '-o', 'size=12m,mode=700', 'tmpfs', small]);
    mounted = true;
    relay = begin(relayOptions(await makeToken(controllerState, 'rack9'), 'small'));
    await send(door, { version: 6, tokens: [await token()] }, 'rack9');
    await taken(door, 6);
    const got = await Promise.all([1, 2].map(() => get(`http://${place.address}:7480/f/${initrdName}`)));
    for (const { bytes } of got) assert.ok(bytes?.equals(contents.initrd));
    const told = await door.hear(
      'a status with the problem',
      ({ status }) =>
        (status as { problems?: string[] })?.problems?.some((each) => each.includes('no space left')) === true,
    );
    assert.ok(told.status);
    assert.ok((await get(/http:\S+\/kernel/.exec((await script()).text)![0])).bytes?.equals(contents.kernel));
    assert.ok(!readdirSync(join(small, 'cache')).includes(hash(contents.initrd)));
    assert.equal((await relay.stop()).code, 0);
    // Not one byte is left: it starts all the same, serves what it has and passes the rest on.
    execFileSync('sh', ['-c', 'dd if=/dev/zero of="$0/filler" bs=4096 2> /dev/null || true', small]);
    relay = begin(relayOptions(join(controllerState, 'rack9.token'), 'small'));
    const problem = await relay.logged({ event: 'problem' });
    assert.match(String(problem.text), /^state folder .*small: ENOSPC.*; files that aren't in the cache are passed on/);
    await send(door, { version: 8, tokens: [await token()] }, 'rack9');
    await taken(door, 8);
    assert.ok((await get(`http://${place.address}:7480/f/${initrdName}`)).bytes?.equals(contents.initrd));
    assert.equal((await relay.stop()).code, 0);
    assert.ok(!readdirSync(small).includes('lock'));
  });

  test('of a controller that was away for too long nothing is believed but that a machine is done', async () => {
    const done = { name: 'm2', system: 'x86_64-linux', offer: 'PLAN_OFFER_LOCAL', cards: [{ mac: other.mac }] };
    const both = plan({ version: 7, tokens: [await token()] });
    const words = [...relayOptions(join(controllerState, 'rack7.token')), '--plan-life', '20s'];
    relay = begin(words);
    await door.ask({ do: 'plan', relay: 'rack7', plan: { ...both, machines: [...both.machines, done] } });
    await taken(door, 7);
    await offered();
    door.child.signal('SIGKILL');
    await relay.logged({ event: 'uplink', state: 'down', kind: 'lost' });
    await offered();
    await relay.logged({ event: 'plan', level: 'warning' });
    assert.deepEqual(await discover(0), []);
    assert.match((await script()).text, /has not heard of its controller for too long/);
    assert.equal((await relay.stop()).code, 0);
  });
});
