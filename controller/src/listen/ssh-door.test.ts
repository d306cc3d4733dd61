import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { proxyOption, proxyText } from '../install/relay-proxy.ts';
import { readSshLine, startSshDoor } from './ssh-door.ts';

async function lab(t: TestContext, reach: (socket: Socket) => void, lineMs = 60_000) {
  const folder = mkdtempSync(join(tmpdir(), "ssh door'-"));
  const [path, file] = [join(folder, 'relay.sock'), join(folder, 'proxy.mjs')];
  writeFileSync(file, proxyText);
  const wanted: string[] = [];
  const door = await startSshDoor({
    path,
    lineMs,
    async connect(relay, address, port, accepted) {
      wanted.push(`${relay} ${address} ${port}`);
      if (relay === 'gone') throw new Error('relay gone is not connected');
      const socket = accepted();
      reach(socket);
      socket.resume();
    },
  });
  t.after(async () => {
    await door.close();
    rmSync(folder, { recursive: true, force: true });
  });
  return { path, file, wanted };
}

/** As ssh starts it: by a shell, with its words put in. */
function byShell(option: string): ChildProcess {
  const command = option.replace('ProxyCommand=', '').replace('%h', '10.0.0.9').replace('%p', '22');
  return spawn('/bin/sh', ['-c', `exec ${command}`], { env: {}, stdio: 'pipe' });
}

async function said(child: ChildProcess) {
  const [out, err]: [string[], string[]] = [[], []];
  child.stdout!.on('data', (bytes: Buffer) => out.push(bytes.toString()));
  child.stderr!.on('data', (bytes: Buffer) => err.push(bytes.toString()));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { out: out.join(''), err: err.join(''), code };
}

test('ssh is joined with the machine by the program of ProxyCommand', async (t) => {
  const { path, file, wanted } = await lab(t, (socket) => {
    const heard: Buffer[] = [];
    socket.on('data', (bytes) => heard.push(bytes));
    socket.on('end', () => socket.end(`heard ${Buffer.concat(heard).length} bytes`));
  });
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const child = byShell(proxyOption({ node: process.execPath, file, socket: path, relay: 'rack7' }));
  child.stdin!.end(Buffer.alloc(300_000));
  assert.deepEqual(await said(child), { out: 'heard 300000 bytes', err: '', code: 0 });
  assert.deepEqual(wanted, ['rack7 10.0.0.9 22']);
});

test('the program ends when the machine does, whatever ssh still has to say', async (t) => {
  const { path, file } = await lab(t, (socket) => socket.end('bye'));
  const child = byShell(proxyOption({ node: process.execPath, file, socket: path, relay: 'rack7' }));
  const { out, code } = await said(child);
  assert.deepEqual([out, code], ['bye', 0]);
});

test('why a machine is not reached is said on standard error', async (t) => {
  const { path, file } = await lab(t, () => {});
  const gone = byShell(proxyOption({ node: process.execPath, file, socket: path, relay: 'gone' }));
  assert.deepEqual(await said(gone), { out: '', err: 'error: relay gone is not connected\n', code: 1 });
  const nobody = byShell(proxyOption({ node: process.execPath, file, socket: `${path}.none`, relay: 'rack7' }));
  const { err, code } = await said(nobody);
  assert.match(err, /^relay: connect ENOENT/);
  assert.equal(code, 1);
});

test('who says nothing, or something else, is sent away', async (t) => {
  const { path, wanted } = await lab(t, () => assert.fail('it was joined'), 200);
  for (const words of ['', 'rack7 10.0.0.9\n', 'rack7 10.0.0.9 22 x\n', `${'x'.repeat(300)}`, '../x 10.0.0.9 22\n']) {
    const socket = connect(path);
    if (words !== '') socket.write(words);
    const heard: string[] = [];
    for await (const bytes of socket) heard.push(String(bytes));
    assert.match(heard.join(''), /^error: /, words);
  }
  assert.deepEqual(wanted, []);
});

test('the line names a relay, an address and a port', () => {
  assert.deepEqual(readSshLine('rack7 10.0.0.9 22'), { relay: 'rack7', address: '10.0.0.9', port: 22 });
  for (const line of [
    '',
    ' ',
    'rack7 10.0.0.9',
    'rack7 10.0.0.256 22',
    'rack7 10.0.0.9 0',
    'rack7 10.0.0.9 65536',
    'rack7  22',
  ])
    assert.equal(readSshLine(line), undefined, line);
});

test('a path that ssh would read in its own way is refused', () => {
  const parts = { node: '/n', file: '/f', socket: '/s', relay: 'r' };
  assert.equal(proxyOption(parts), "ProxyCommand='/n' '/f' '/s' 'r' %h %p");
  for (const path of ['n', '/a%b', '/a\nb'])
    assert.throws(() => proxyOption({ ...parts, node: path }), /absolute path/);
});
