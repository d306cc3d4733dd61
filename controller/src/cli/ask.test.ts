import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import fc from 'fast-check';
import { ConfigError } from '../config/problem.ts';
import type { Host } from '../machine/host.ts';
import type { Mac } from '../machine/mac.ts';
import { askSecrets, Interrupted, lines, type Terminal } from './ask.ts';

const host = (name: string, keys: string[]): Host => ({
  name,
  flakeAttr: name,
  macs: ['aa:bb:cc:dd:ee:01' as Mac],
  system: 'x86_64-linux',
  tags: [],
  boot: [],
  expectDisks: [],
  wipe: false,
  secrets: { diskKeys: keys.map((path) => ({ path, source: { kind: 'prompt' } })), files: [] },
});

function terminal(typed: string[]) {
  const said: string[] = [];
  let closed = 0;
  const it: Terminal = {
    write: (text) => void said.push(text),
    read: async () => {
      const next = typed.shift();
      return next === undefined ? undefined : Buffer.from(next);
    },
    close: () => void closed++,
  };
  return { open: () => it, said, closed: () => closed };
}

test('each secret is asked for by its name, and nothing of the answer is shown', async () => {
  const { open, said, closed } = terminal(['first', '-value\rsec', 'ond\r']);
  const answers = await askSecrets([host('m1', ['/k1', '/k2']), host('m2', [])], open);
  assert.deepEqual(
    [...answers].map(([name, value]) => `${name}=${value}`),
    ['disk key /k1 of m1=first-value', 'disk key /k2 of m1=second'],
  );
  assert.deepEqual(said, ['disk key /k1 of m1: ', '\n', 'disk key /k2 of m1: ', '\n']);
  assert.equal(closed(), 1);
});

test('no question, no terminal', async () => {
  assert.equal((await askSecrets([host('m1', [])], () => assert.fail())).size, 0);
});

test('without a terminal, or when it ends: a configuration error that says what else is there', async () => {
  for (const open of [() => undefined, terminal(['half']).open])
    await assert.rejects(askSecrets([host('m1', ['/k'])], open), (error) => {
      assert.ok(error instanceof ConfigError);
      assert.match(error.message, /^disk key \/k of m1: its source is "prompt", but .*terminal.*file:PATH.*env:NAME/);
      return true;
    });
});

test('Ctrl-C ends it, and the terminal is left as it was', async () => {
  const { open, closed } = terminal(['abc\u0003']);
  await assert.rejects(askSecrets([host('m1', ['/k'])], open), Interrupted);
  assert.equal(closed(), 1);
});

test('the keys that correct', () => {
  const typed = (text: string) => {
    const it = lines();
    it.push(Buffer.from(text));
    return it.next()?.toString();
  };
  assert.equal(typed('abc\x7f\x7fd\r'), 'ad');
  assert.equal(typed('a\u00e9\u{1f511}\x7f\x7fb\n'), 'ab');
  assert.equal(typed('\x7f\x7fa\r'), 'a');
  assert.equal(typed('wrong\x15right\r'), 'right');
  assert.equal(typed('open'), undefined);
  assert.equal(typed('\r'), '');
});

test('lines come out as they went in, however they are cut', () => {
  const line = fc.string().map((text) => text.replace(/[\x00-\x1f\x7f]/g, ''));
  fc.assert(
    fc.property(fc.array(line), fc.integer({ min: 1, max: 7 }), (given, size) => {
      const it = lines();
      const all = Buffer.from(given.map((each) => `${each}\r`).join(''));
      for (let at = 0; at < all.length; at += size) it.push(all.subarray(at, at + size));
      assert.deepEqual(
        given.map(() => it.next()?.toString()),
        given,
      );
    }),
  );
});

const nixie = join(import.meta.dirname, '../bin/nixie.ts');
const run = (folder: string) => {
  const hosts = join(folder, 'hosts.json');
  const secrets = { disk_keys: { '/tmp/k': 'prompt' } };
  writeFileSync(hosts, JSON.stringify({ m1: { mac_address: '02:00:00:00:00:01', secrets } }));
  return [
    process.execPath,
    nixie,
    '--installer',
    '.#installer',
    '--flake',
    '.',
    '--hosts',
    hosts,
    '--interface',
    'none0',
  ];
};

test('the program without a terminal: status 2', () => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-ask-'));
  try {
    const [program, ...args] = run(folder);
    // A session of its own has no controlling terminal.
    const { status, stderr } = spawnSync('setsid', ['--wait', program!, ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    assert.equal(status, 2, stderr);
    assert.match(stderr, /disk key \/tmp\/k of m1: its source is "prompt", but there is no terminal/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

const script = spawnSync('script', ['--version']).status === 0;
test('the program on a terminal: the echo is off', {
  skip: script ? false : 'script(1) is not here',
  timeout: 60_000,
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-ask-'));
  try {
    const quoted = run(folder)
      .map((word) => `'${word}'`)
      .join(' ');
    const child = spawn('script', ['-qec', quoted, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] });
    let said = '';
    const status = await new Promise((resolve) => {
      child.stdout.on('data', (bytes: Buffer) => {
        const asked = said.includes('of m1: ');
        said += bytes.toString();
        if (!asked && said.includes('of m1: ')) child.stdin.write('typed-in-vain\r');
      });
      child.on('close', resolve);
    });
    // It ends at the first thing that this computer has not, behind the question.
    assert.notEqual(status, 2, said);
    assert.notEqual(status, 0, said);
    assert.match(said, /disk key \/tmp\/k of m1: \r\n/);
    assert.doesNotMatch(said, /typed/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
