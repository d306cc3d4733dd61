import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import packageJson from '../package.json' with { type: 'json' };
import { helpText, readCommand, UsageError } from './settings.ts';
import { agentVersion } from './version.ts';

const line = `nixie.controller=10.0.0.1:7481 nixie.fingerprint=${'a'.repeat(64)} nixie.token=${'b'.repeat(32)} BOOTIF=01-52-54-00-00-00-01`;

function withLine<T>(text: string, work: (file: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-settings-'));
  try {
    writeFileSync(join(folder, 'cmdline'), text);
    return work(join(folder, 'cmdline'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('the kernel command line is enough', () => {
  const command = withLine(line, (file) => readCommand(['--cmdline', file]));
  assert.ok(command.kind === 'run');
  assert.deepEqual(command.settings, {
    controllers: ['10.0.0.1:7481'],
    fingerprint: 'a'.repeat(64),
    token: 'b'.repeat(32),
    mac: '52:54:00:00:00:01',
    bootMac: '52:54:00:00:00:01',
    refused: 'reboot',
    root: '/',
    sshHostKeyFile: '/etc/ssh/ssh_host_ed25519_key.pub',
    authorizedKeysFile: '/root/.ssh/authorized_keys',
    nixConfFile: '/root/.config/nix/nix.conf',
    stateFolder: '/run/nixie-agent',
    patienceMs: 600_000,
    linksUpMs: 5000,
  });
});

test('options win, and --root moves every place', () => {
  const command = withLine(line, (file) =>
    readCommand([
      '--cmdline',
      file,
      '--controller',
      '[::1]:9',
      '--mac',
      'AA-BB-CC-DD-EE-FF',
      '--root',
      '/tmp/x',
      '--refused=wait',
    ]),
  );
  assert.ok(command.kind === 'run');
  assert.deepEqual(command.settings.controllers, ['[::1]:9']);
  assert.equal(command.settings.mac, 'aa:bb:cc:dd:ee:ff');
  assert.equal(command.settings.refused, 'wait');
  assert.equal(command.settings.authorizedKeysFile, '/tmp/x/root/.ssh/authorized_keys');
  assert.equal(command.settings.stateFolder, '/tmp/x/run/nixie-agent');
});

for (const [name, args, want] of [
  ['nothing there', [], /no --controller, and .*nixie\.controller=/],
  ['bad option', ['--token', 'x'], /--token: found "x", want 32 hex digits/],
  ['bad controller', ['--controller', 'a b'], /--controller: found "a b", want IP:PORT/],
  ['unknown option', ['--frob'], /--frob/],
  ['stray word', ['frob'], /frob/],
] as const)
  test(`refuses: ${name}`, () => {
    assert.throws(
      () => withLine('quiet', (file) => readCommand(['--cmdline', file, ...args])),
      (error) => error instanceof UsageError && want.test(error.message),
    );
  });

test('a malformed word is named in the message', () => {
  assert.throws(
    () => withLine('nixie.controller=%%', (file) => readCommand(['--cmdline', file])),
    /nixie\.controller= is malformed/,
  );
});

test('help names every option, the version is that of the package', () => {
  for (const option of [
    'controller',
    'fingerprint',
    'token',
    'mac',
    'cmdline',
    'root',
    'ssh-host-key',
    'authorized-keys',
    'state',
  ])
    assert.ok(helpText.includes(`--${option}`), option);
  assert.equal(agentVersion, packageJson.version);
});

test('an inventory is of this machine or of a tree, a record of this machine only', () => {
  assert.deepEqual(readCommand(['--inventory']), { kind: 'inventory', root: '/', linksUpMs: 0 });
  assert.deepEqual(readCommand(['--inventory', '--root', 'x']), { kind: 'inventory', root: 'x', linksUpMs: 0 });
  assert.deepEqual(readCommand(['--inventory', '--links-up', '3']), { kind: 'inventory', root: '/', linksUpMs: 3000 });
  assert.throws(() => readCommand(['--inventory', '--links-up', 'now']), /--links-up: found "now", want seconds/);
  assert.deepEqual(readCommand(['--record', 'there']), { kind: 'record', folder: 'there' });
  assert.throws(() => readCommand(['--record', 'there', '--root', 'x']), /--record: found --root as well/);
  assert.throws(() => readCommand(['--record', '']), /--record: found nothing, want a folder/);
});

test('what is fetched stands on the kernel command line; the door is the controller', () => {
  const image = 'e'.repeat(64);
  const command = withLine(`${line} nixie.image=${image}`, (file) =>
    readCommand(['--fetch', '/run/image', '--serve', '--cmdline', file]),
  );
  assert.ok(command.kind === 'fetch');
  assert.deepEqual(command.settings, {
    file: '/run/image',
    doors: ['10.0.0.1'],
    manifestSha256: image,
    serve: true,
    giveUpMs: 600_000,
  });
  const given = withLine(line, (file) =>
    readCommand(
      ['--fetch=x', '--cmdline', file, '--image', image, '--door', '[::1]:9,10.0.0.3', '--upload-limit', '30'].concat(
        ...['--peer-port', '7000', '--patience', '5'],
      ),
    ),
  );
  assert.ok(given.kind === 'fetch');
  assert.deepEqual(given.settings, {
    file: 'x',
    doors: ['[::1]:9', '10.0.0.3'],
    manifestSha256: image,
    serve: false,
    giveUpMs: 5000,
    port: 7000,
    uploadBytesPerSecond: 30e6,
  });
  for (const [args, want] of [
    [['--fetch', 'x'], /no usable nixie\.image=/],
    [['--fetch', ''], /--fetch: found "", want a file/],
    [['--fetch', 'x', '--image', 'e'], /--image: found "e"/],
    [['--fetch', 'x', '--peer-port', '70000'], /--peer-port/],
    [['--fetch', 'x', '--upload-limit', '0'], /--upload-limit/],
    [['--fetch', 'x', '--door', '%'], /--door/],
  ] as const)
    assert.throws(() => withLine(line, (file) => readCommand([...args, '--cmdline', file])), want);
});
