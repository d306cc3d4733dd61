import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { exitCodeOfError } from './cli/exit-codes.ts';
import { keygen } from './install/keys.ts';
import type { Mac } from './machine/mac.ts';
import { TokenBook } from './machine/token.ts';
import { findPrograms } from './programs.ts';
import { openState } from './state.ts';
import { StateTaken } from './store/lock.ts';
import { placeIn } from './store/places.ts';

const path = process.env.PATH ?? '';
const missing = (() => {
  try {
    findPrograms(path, '/bin/true');
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
})();
const skip = missing?.includes('ssh-keygen') === true ? 'ssh-keygen is not here' : false;

function world(t: { after(call: () => void): void }) {
  const stateDir = mkdtempSync(join(tmpdir(), 'nixie-state-'));
  t.after(() => rmSync(stateDir, { recursive: true, force: true }));
  const warnings: string[] = [];
  const open = () =>
    openState({
      stateDir,
      uid: process.getuid?.() ?? 0,
      runtimeDir: undefined,
      keygen: keygen(path),
      now: () => 1000,
      ticks: () => 1000,
      warn: (text) => void warnings.push(text),
    });
  return { stateDir, warnings, open };
}

test('a second run on the same state folder is refused with a sentence and status 3', { skip }, async (t) => {
  const { open } = world(t);
  const first = await open();
  await assert.rejects(open(), (error: Error) => {
    assert.ok(error instanceof StateTaken);
    assert.match(error.message, /in use by a nixie that runs already \(process \d+\); wait for that run.*--state/);
    assert.equal(exitCodeOfError(error), 3);
    return true;
  });
  await first.close();
  await (await open()).close();
});

test('so it is while another controller answers at the socket, whose lock is out of sight', { skip }, async (t) => {
  const { stateDir, open } = world(t);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(join(stateDir, 'operator.sock'), () => resolve()));
  await assert.rejects(open(), /in use by a nixie that answers at .*operator\.sock/);
  await new Promise((resolve) => server.close(resolve));
  await (await open()).close();
});

test('a folder full of garbage stops nothing, and what was broken is said', { skip }, async (t) => {
  const { stateDir, warnings, open } = world(t);
  const proof = join(stateDir, 'proof');
  for (const folder of ['registrations', 'marks', 'leases.json', 'proof', 'proof-abcDEF'])
    mkdirSync(join(stateDir, folder));
  for (const file of ['tls.pem', 'tokens.json', 'declined.json', 'lock', 'journal.jsonl', 'proof/id_ed25519'])
    writeFileSync(join(stateDir, file), '{"torn');
  chmodSync(proof, 0o755);
  const state = await open();
  assert.deepEqual(state.leases, {});
  state.journal.write({ first: 1 });
  const mac = '52:54:00:00:00:01' as Mac;
  state.keepLeases({ [mac]: '10.0.0.9' }, { '10.78.0.0/24': { [mac]: '10.78.0.9' } });
  state.lastAddresses.put('m1', '10.78.0.9');
  await state.close();
  assert.match(warnings.join('\n'), /leases\.json is no file/);
  assert.match(warnings.join('\n'), /key was damaged and is now .*tls\.pem\.damaged/);
  assert.equal(readFileSync(placeIn(stateDir, 'journal'), 'utf8'), '{"torn\n{"first":1}\n');
  assert.equal(existsSync(join(stateDir, 'proof-abcDEF')), false);
  assert.equal(existsSync(state.folder.path), false);
  const again = await open();
  assert.deepEqual(again.leases, { '52:54:00:00:00:01': '10.0.0.9' });
  assert.deepEqual(again.subnetLeases, { '10.78.0.0/24': { [mac]: '10.78.0.9' } });
  assert.equal(again.lastAddresses.get('m1'), '10.78.0.9');
  assert.equal(again.tls.fingerprint, state.tls.fingerprint);
  await again.close();
});

test('tokens outlive a restart, used ones as used', { skip }, async (t) => {
  const { open } = world(t);
  const mac = '52:54:00:00:00:01' as Mac;
  let count = 0;
  const book = () => new TokenBook((bytes) => new Uint8Array(bytes).fill(++count));
  const first = await open();
  const tokens = book();
  const [used, fresh] = [tokens.issue(mac, 'm1', 1000), tokens.issue(mac, 'm1', 1000)];
  tokens.take(used, mac, 'agent 1', 1000);
  first.tokensChanged(tokens);
  await first.close();
  const second = await open();
  const later = book();
  second.restoreTokens(later);
  assert.equal(later.take(fresh, mac, 'agent 1', 1000).verdict, 'ok');
  assert.equal(later.take(used, mac, 'agent 2', 1000).verdict, 'used');
  await second.close();
});
