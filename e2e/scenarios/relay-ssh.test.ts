// ssh to a machine through a relay: the real ssh and a real sshd, both ends of the link in this process. The host key stays pinned, whoever carries.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before, describe } from 'node:test';
import { type KeyPair, keygen, makeKey } from '../../controller/src/install/keys.ts';
import { openMaster } from '../../controller/src/install/master.ts';
import { proxyOption, proxyText } from '../../controller/src/install/relay-proxy.ts';
import { writeShim } from '../../controller/src/install/shim.ts';
import { prove, scanHostKey } from '../../controller/src/install/verify.ts';
import { type SshDoorOptions, startSshDoor } from '../../controller/src/listen/ssh-door.ts';
import { run } from '../lab/child.ts';
import { freePort } from '../lab/free-port.ts';
import { findProgram, needPrograms, needRoot, skipUnless } from '../lab/need.ts';
import { until } from '../lab/patience.ts';
import { type LinkPair, makeLinkPair } from '../lab/relay/link-pair.ts';

const skip = skipUnless(needRoot, needPrograms(['ssh', 'sshd', 'ssh-keygen']));
const searchPath = '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin';
const address = '127.0.0.1';

describe('ssh through a relay', { skip, timeout: 500_000 }, () => {
  let folder: string;
  let sshd: ChildProcess;
  let port: number;
  let hostKey: KeyPair;
  let otherKey: KeyPair;
  let login: KeyPair;
  let pair: LinkPair;
  let door: Awaited<ReturnType<typeof startSshDoor>>;
  let options: readonly string[];
  const wanted: string[] = [];

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'nixie-relay-ssh-'));
    const make = keygen(searchPath);
    hostKey = await makeKey(folder, 'host', 'host', make);
    otherKey = await makeKey(folder, 'other', 'other', make);
    login = await makeKey(folder, 'login', 'login', make);
    writeFileSync(join(folder, 'authorized'), `${login.publicKey}\n`);
    mkdirSync('/run/sshd', { recursive: true });
    port = await freePort();
    const words = [
      'PermitRootLogin=yes',
      'StrictModes=no',
      'UsePAM=no',
      'PidFile=none',
      `AuthorizedKeysFile=${join(folder, 'authorized')}`,
      `ListenAddress=${address}:${port}`,
    ];
    const argv = ['-D', '-e', '-f', '/dev/null', '-h', hostKey.privateFile, ...words.flatMap((word) => ['-o', word])];
    sshd = spawn(findProgram('sshd')!, argv, { stdio: 'ignore' });
    const answers = () =>
      new Promise<boolean>((resolve) => {
        const socket = connect({ host: address, port });
        socket.once('connect', () => resolve(true));
        socket.once('error', () => resolve(false));
        socket.once('connect', () => socket.destroy());
      });
    await until('sshd', answers);

    pair = await makeLinkPair('rack7');
    const socket = join(folder, 'relay.sock');
    const proxy = join(folder, 'relay-proxy.mjs');
    writeFileSync(proxy, proxyText);
    chmodSync(proxy, 0o400);
    const given: SshDoorOptions = {
      path: socket,
      async connect(relay, at, to, accepted) {
        wanted.push(`${relay} ${at} ${to}`);
        const link = pair.door.link(relay);
        if (link === undefined) throw new Error(`relay ${relay} is not connected`);
        await pair.door.carry.connect(link, { address: at, port: to }, accepted);
      },
    };
    door = await startSshDoor(given);
    options = [proxyOption({ node: process.execPath, file: proxy, socket, relay: 'rack7' })];
  });
  after(async () => {
    await door?.close();
    await pair?.close();
    sshd?.kill('SIGTERM');
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });

  const pinnedTo = (key: KeyPair, more: object = {}) => ({
    address,
    port,
    hostKey: key.publicKey.split(' ').slice(0, 2).join(' '),
    toplevel: `/nix/store/${'a'.repeat(32)}-system`,
    identities: [login.privateFile],
    options,
    folder,
    searchPath,
    ...more,
  });

  test('which key answers is seen without a login', async () => {
    const found = await scanHostKey({ address, port, searchPath, options, folder });
    assert.deepEqual(found, { kind: 'key', key: hostKey.publicKey.split(' ').slice(0, 2).join(' ') });
    assert.deepEqual(wanted.at(-1), `rack7 ${address} ${port}`);
    const none = await scanHostKey({ address: '10.9.9.9', port, searchPath, options, folder });
    assert.equal(none.kind, 'none');
  });

  test('a proof logs in by the placed key, and by no other', async () => {
    const asked = await prove(pinnedTo(hostKey));
    assert.ok(asked.kind === 'other-system' || asked.kind === 'no-way-in', JSON.stringify(asked));
    assert.equal((await prove(pinnedTo(otherKey))).kind, 'wrong-key');
  });

  test('what is not there, or not behind that relay, is unreachable with the reason', async () => {
    const closed = await prove(pinnedTo(hostKey, { port: 1 }));
    assert.equal(closed.kind, 'unreachable');
    const outside = await prove(pinnedTo(hostKey, { address: '10.9.9.9' }));
    assert.equal(outside.kind, 'unreachable');
  });

  test('the ssh of a phase share one login through the relay; a cut link ends it', async () => {
    const controlPath = join(folder, 'ctl');
    const realSsh = findProgram('ssh')!;
    const shimFolder = join(folder, 'shim');
    mkdirSync(shimFolder);
    const hostKeys = [hostKey.publicKey];
    const shim = await writeShim({ folder: shimFolder, realSsh, hostKeys, controlPath, options });
    // A master has no port of its own among its words; this sshd has one.
    const withPort = [...options, `Port=${port}`];
    const master = await openMaster({
      realSsh,
      knownHosts: join(shimFolder, 'known_hosts'),
      keyFile: login.privateFile,
      address,
      controlPath,
      searchPath,
      options: withPort,
    });
    try {
      assert.ok(master.open, master.lost());
      const before = wanted.length;
      const ssh = async (word: string) =>
        await run([shim, '-i', login.privateFile, '-p', String(port), `root@${address}`, word], { accept: true });
      const said = await ssh('head -c 3000000 /dev/zero | wc -c');
      assert.equal(said.stdout.trim(), '3000000', said.stderr);
      assert.equal(wanted.length, before, 'no connection of its own');
      await pair.cut();
      const after_ = await ssh('echo again');
      assert.equal(after_.stdout, '', 'without the link nothing is reached');
    } finally {
      master.close();
    }
  });
});
