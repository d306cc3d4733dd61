import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { Inventory } from '@nixie/proto/inventory';
import fc from 'fast-check';
import { installedHostKey, keygen, proofKey } from '../install/keys.ts';
import type { Mac } from '../machine/mac.ts';
import { openBegun } from './begun.ts';
import { loadCacheKey } from './cache-key.ts';
import { openConsents } from './consents.ts';
import { openHardware } from './hardware.ts';
import { openJournal } from './journal.ts';
import { openLastAddresses } from './last-addresses.ts';
import { readDeclined, readLeases, readSubnetLeases, writeDeclined, writeLeases } from './leases.ts';
import { takeLock } from './lock.ts';
import { openMarks } from './marks.ts';
import { placeIn, places, tidy } from './places.ts';
import { openRegistrations } from './registrations.ts';
import { loadTls } from './tls.ts';
import { readTokens, writeTokens } from './tokens.ts';

const mac = '52:54:00:00:00:01' as Mac;
const registration = {
  bootId: 'b1',
  mac,
  sshHostKey: `ssh-ed25519 ${'A'.repeat(68)}`,
  inventory: Inventory.fromPartial({ disks: [{ path: '/dev/vda', sizeBytes: 8n }] }),
};
const token = { token: '0'.repeat(32), mac, host: 'm1', issuedAt: 5 };
const generate = keygen(process.env.PATH ?? '');
const haveKeygen = (() => {
  try {
    execFileSync('ssh-keygen', ['-?'], { stdio: 'ignore' });
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ENOENT';
  }
})();

function folder(t: { after(call: () => void): void }): string {
  const made = mkdtempSync(join(tmpdir(), 'nixie-state-'));
  t.after(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

async function writeAll(state: string): Promise<void> {
  const release = takeLock(state);
  await loadTls(state);
  loadCacheKey(placeIn(state, 'cacheKey'));
  writeLeases(placeIn(state, 'leases'), { [mac]: '10.0.0.9' });
  openLastAddresses(placeIn(state, 'lastAddresses'), () => {}).put('m1', '10.0.0.9');
  writeDeclined(placeIn(state, 'declined'), new Map([['10.0.0.8', 5]]));
  const journal = openJournal(placeIn(state, 'journal'));
  journal.write({ a: 1 });
  journal.close();
  writeTokens(placeIn(state, 'tokens'), [token]);
  openRegistrations(placeIn(state, 'registrations')).put('m1', registration);
  openMarks(placeIn(state, 'marks')).set('m1', '/nix/store/x');
  const { inventory } = registration;
  openHardware(placeIn(state, 'hardware')).put('m1', { content: { $case: 'inventory', value: inventory } });
  openBegun(placeIn(state, 'begun')).set('m1', 'b1', new Set(['S1/8']));
  openConsents(placeIn(state, 'consents')).put('m1', { macs: [mac], kinds: ['wipe'] });
  if (haveKeygen) {
    await installedHostKey(state, 'm1', generate);
    await proofKey(state, generate);
  }
  release();
}

test('nothing is written that is not in the list, and nothing that others may read', async (t) => {
  const state = folder(t);
  const before = process.umask(0o000);
  try {
    await writeAll(state);
  } finally {
    process.umask(before);
  }
  const names = new Set<string>(Object.values(places).map(({ name }) => name));
  for (const name of readdirSync(state)) assert.ok(names.has(name), `${name} is not in the list`);
  for (const entry of readdirSync(state, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const mode = statSync(path).mode & 0o777;
    const want = entry.isDirectory() ? 0o700 : 0o600;
    // Public keys are nobody's secret; ssh-keygen makes them, in a folder that only we can enter.
    if (entry.name.endsWith('.pub')) continue;
    assert.equal(mode, want, `${path} has mode ${mode.toString(8)}`);
    assert.ok(!/\.new|\.old/.test(entry.name), `${path} was left behind`);
  }
});

test('a crash leaves nothing behind for long, and what is open is closed', async (t) => {
  const state = folder(t);
  await writeAll(state);
  for (const name of [
    'leases.json.new',
    'lock.7.new',
    'registrations/m1.json.new',
    'marks/m1.json.new',
    'begun/m1.json.new',
    'consents/m1.json.new',
  ])
    writeFileSync(join(state, name), 'half');
  mkdirSync(join(state, 'proof-aB3dE6'));
  writeFileSync(join(state, 'notes of the operator'), 'keep me');
  mkdirSync(join(state, 'hostkeys', 'web.new'), { recursive: true });
  chmodSync(placeIn(state, 'leases'), 0o644);
  chmodSync(placeIn(state, 'registrations'), 0o755);
  rmSync(placeIn(state, 'tokens'));
  mkdirSync(placeIn(state, 'tokens'));
  rmSync(placeIn(state, 'marks'), { recursive: true });
  writeFileSync(placeIn(state, 'marks'), 'no folder');
  const told = tidy(state);
  assert.deepEqual(told.length, 2);
  assert.match(told.join('\n'), /tokens\.json is no file; it was set aside/);
  assert.match(told.join('\n'), /marks is no folder/);
  assert.equal(statSync(placeIn(state, 'leases')).mode & 0o777, 0o600);
  assert.equal(statSync(placeIn(state, 'registrations')).mode & 0o777, 0o700);
  assert.deepEqual(
    readdirSync(state).filter((name) => /\.new$|^proof-/.test(name)),
    [],
  );
  assert.equal(existsSync(join(state, 'notes of the operator')), true);
  assert.equal(existsSync(join(state, 'hostkeys', 'web.new')), true);
  await writeAll(state);
  assert.deepEqual(readTokens(placeIn(state, 'tokens')), [token]);
});

const garbage = fc.oneof(
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  fc.json().map((text) => Buffer.from(text)),
  fc
    .constantFrom('', 'null', '[]', '{}', '[null]', '{"a":null}', '"x"', '{"52:54:00:00:00:01":7}')
    .map((text) => Buffer.from(text)),
);

test('whatever the files hold, reading them stops nothing', (t) => {
  const state = folder(t);
  mkdirSync(placeIn(state, 'registrations'));
  mkdirSync(placeIn(state, 'marks'));
  mkdirSync(placeIn(state, 'begun'));
  fc.assert(
    fc.property(garbage, (bytes) => {
      for (const name of [
        'leases.json',
        'addresses.json',
        'declined.json',
        'tokens.json',
        'lock',
        'registrations/m1.json',
        'marks/m1.json',
        'begun/m1.json',
      ])
        writeFileSync(join(state, name), bytes);
      for (const address of Object.values(readLeases(placeIn(state, 'leases')))) assert.match(address, /^[\d.]+$/);
      for (const leases of Object.values(readSubnetLeases(placeIn(state, 'leases'))))
        for (const address of Object.values(leases)) assert.match(address, /^[\d.]+$/);
      openLastAddresses(placeIn(state, 'lastAddresses'), () => {}).get('m1');
      for (const at of readDeclined(placeIn(state, 'declined'), 0).values()) assert.equal(typeof at, 'number');
      for (const each of readTokens(placeIn(state, 'tokens'))) assert.match(each.token, /^[0-9a-f]{32}$/);
      const kept = openRegistrations(placeIn(state, 'registrations')).get('m1');
      if (kept !== undefined) assert.match(kept.sshHostKey, /^ssh-ed25519 /);
      openMarks(placeIn(state, 'marks')).get('m1');
      openBegun(placeIn(state, 'begun')).get('m1', 'b1');
      takeLock(state)();
    }),
    { numRuns: 200 },
  );
});

test('what was written is read again, whole', (t) => {
  const state = folder(t);
  writeLeases(placeIn(state, 'leases'), { [mac]: '10.0.0.9' });
  assert.deepEqual(readLeases(placeIn(state, 'leases')), { [mac]: '10.0.0.9' });
  writeDeclined(placeIn(state, 'declined'), new Map([['10.0.0.8', 1000]]));
  assert.deepEqual([...readDeclined(placeIn(state, 'declined'), 2000)], [['10.0.0.8', 1000]]);
  assert.deepEqual([...readDeclined(placeIn(state, 'declined'), 1000 + 25 * 3600_000)], []);
  openRegistrations(placeIn(state, 'registrations')).put('m1', registration);
  assert.deepEqual(openRegistrations(placeIn(state, 'registrations')).get('m1'), registration);
  const marks = openMarks(placeIn(state, 'marks'));
  marks.set('m1', '/nix/store/x');
  assert.equal(openMarks(placeIn(state, 'marks')).get('m1'), '/nix/store/x');
  marks.clear('m1');
  marks.clear('m1');
  assert.equal(marks.get('m1'), undefined);
});

test('what was begun is known in its run, and to later ones only of the very same boot, until it has ended', (t) => {
  const state = folder(t);
  const place = placeIn(state, 'begun');
  const first = openBegun(place);
  assert.equal(first.get('m1', 'b1'), undefined);
  first.set('m1', 'b1', new Set(['S1/8']));
  assert.deepEqual(first.get('m1', 'b2'), new Set(['S1/8']), 'this run reset it, or saw it die');
  assert.deepEqual(openBegun(place).get('m1', 'b1'), new Set(['S1/8']));
  assert.equal(openBegun(place).get('m1', 'b2'), undefined, 'nobody knows what ran in between');
  assert.equal(openBegun(place).get('m2', 'b1'), undefined);
  first.clear('m1');
  first.clear('m1');
  assert.equal(first.get('m1', 'b1'), undefined);
  assert.equal(openBegun(place).get('m1', 'b1'), undefined);
});

test('what can not be written down of it is known in this run, and said', (t) => {
  const state = folder(t);
  writeFileSync(placeIn(state, 'begun'), 'in the way');
  const told: string[] = [];
  const begun = openBegun(placeIn(state, 'begun'), (text) => told.push(text));
  begun.set('m1', 'b1', new Set(['S1/8']));
  assert.deepEqual(begun.get('m1', 'b1'), new Set(['S1/8']));
  assert.match(told.join(), /begun.*; should this run be cut off while it writes to m1/);
});

test('a registration that can not be written is kept for this run', (t) => {
  const state = folder(t);
  writeFileSync(placeIn(state, 'registrations'), 'in the way');
  const told: string[] = [];
  const registrations = openRegistrations(placeIn(state, 'registrations'), (text) => told.push(text));
  registrations.put('m1', registration);
  assert.deepEqual(registrations.get('m1'), registration);
  assert.match(told[0] ?? '', /keep the registration of m1/);
});

test('the journal goes on behind a torn line, and without a disk it goes on without a journal', (t) => {
  const state = folder(t);
  const file = placeIn(state, 'journal');
  writeFileSync(file, '{"whole":1}\n{"torn":');
  const journal = openJournal(file);
  journal.write({ next: 1 });
  journal.close();
  assert.deepEqual(readFileSync(file, 'utf8').split('\n'), ['{"whole":1}', '{"torn":', '{"next":1}', '']);
  const small = openJournal(file, { largestBytes: 10 });
  small.write({ anew: 1 });
  small.close();
  assert.equal(readFileSync(file, 'utf8'), '{"anew":1}\n');
  assert.match(readFileSync(`${file}.1`, 'utf8'), /torn/);
  const told: string[] = [];
  mkdirSync(join(state, 'a-folder'));
  const broken = openJournal(join(state, 'a-folder'), { onTrouble: (text) => told.push(text) });
  broken.write({ lost: 1 });
  broken.close();
  assert.equal(told.length, 1);
  const full = openJournal('/dev/full', { onTrouble: (text) => told.push(text) });
  full.write({ lost: 1 });
  full.write({ lost: 2 });
  full.close();
  assert.equal(told.length, 2);
  assert.match(told[1] ?? '', /ENOSPC|no space/);
});

test('a host key that is garbage is set aside, and one that is open is closed', {
  skip: !haveKeygen && 'no ssh-keygen',
}, async (t) => {
  const state = folder(t);
  const first = await installedHostKey(state, 'm1', generate);
  chmodSync(first.privateFile, 0o644);
  const second = await installedHostKey(state, 'm1', generate);
  assert.deepEqual([second.origin, second.publicKey], ['kept', first.publicKey]);
  writeFileSync(first.privateFile, 'garbage');
  const third = await installedHostKey(state, 'm1', generate);
  assert.equal(third.origin, 'made');
  assert.notEqual(third.publicKey, first.publicKey);
  assert.equal(readFileSync(`${first.privateFile}.damaged`, 'utf8'), 'garbage');
});
