import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import type { CheckInRequest } from '@nixie/proto/host';
import { type Happening, newLife } from '../machine/life.ts';
import { placeOf } from '../machine/relay.ts';
import type { Stage } from '../machine/stage.ts';
import { CheckIns, checkInText } from './check-in.ts';

const folder = mkdtempSync(join(tmpdir(), 'nixie-check-in-'));
test.after(() => rmSync(folder, { recursive: true }));
const makeKey = (name: string) => {
  const file = join(folder, name);
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', file]);
  return { file, publicKey: readFileSync(`${file}.pub`, 'utf8').trim() };
};
const placed = makeKey('placed');
const another = makeKey('another');
const toplevel = `/nix/store/${'a'.repeat(32)}-nixos-system-m1`;
const fingerprint = 'f'.repeat(64);
const peer = placeOf('10.0.0.7:4711');

function scene(stage: Stage = 'proving') {
  const told: (Happening | string)[] = [];
  const clock = { ticks: 1000 };
  const checkIns = new CheckIns({
    life: (host) => (host === 'm1' ? { ...newLife('m1', 0), stage, bootId: 'b-0' } : undefined),
    toplevel: () => toplevel,
    placedKey: async (host) => (host === 'm1' ? placed.publicKey : undefined),
    happened: (_host, happening) => void told.push(happening),
    log: (_host, text) => void told.push(text),
    seenAt: (host, address) => void told.push(`${host} is at ${address}`),
    secret: Buffer.alloc(32, 1),
    fingerprint,
    randomBytes,
    ticks: () => clock.ticks,
    now: () => 5_000_000,
  });
  const request = (
    more: Partial<CheckInRequest> = {},
    by: { key?: string; to?: string; namespace?: string } = {},
  ): CheckInRequest => {
    const unsigned = {
      host: 'm1',
      challenge: Buffer.from(checkIns.challenge()),
      bootId: 'b-1',
      bootedSystem: toplevel,
      unixMs: 5_000_000n,
      ...more,
    };
    const signature = execFileSync(
      'ssh-keygen',
      ['-Y', 'sign', '-q', '-n', by.namespace ?? 'nixie-check-in', '-f', by.key ?? placed.file],
      { input: checkInText(unsigned, by.to ?? fingerprint), encoding: 'utf8', stdio: ['pipe', 'pipe', 'ignore'] },
    );
    return { ...unsigned, signature };
  };
  return { checkIns, told, clock, request };
}

test('while it is looked for, a check-in by the placed key is the proof', async () => {
  const { checkIns, told, request } = scene();
  assert.equal(await checkIns.checkIn(request(), peer), undefined);
  assert.deepEqual(told, [
    `checked in at 10.0.0.7: it runs ${toplevel}`,
    'm1 is at 10.0.0.7',
    { kind: 'proof-given', address: '10.0.0.7', hostKey: placed.publicKey },
  ]);
});

test('in other stages it is told; another system, or the installer itself, proves nothing', async () => {
  for (const stage of ['proved', 'copy', 'waking', 'failed'] as const) {
    const { checkIns, told, request } = scene(stage);
    assert.equal(await checkIns.checkIn(request(), peer), undefined);
    assert.deepEqual(told, [`checked in at 10.0.0.7: it runs ${toplevel}`]);
  }
  const { checkIns, told, request } = scene();
  const other = `/nix/store/${'b'.repeat(32)}-nixos-system-m1`;
  assert.equal(await checkIns.checkIn(request({ bootedSystem: other, unixMs: 0n }), peer), undefined);
  assert.equal(await checkIns.checkIn(request({ bootId: 'b-0' }), peer), undefined);
  assert.deepEqual(told, [
    `checked in at 10.0.0.7: it runs ${other}`,
    'its clock is off by 5000 s',
    'm1 is at 10.0.0.7',
    `checked in at 10.0.0.7: it runs ${toplevel}`,
    'the check-in is of the boot of its installer, so it proves nothing',
  ]);
});

test('nobody else is believed, and nothing twice', async () => {
  const { checkIns, told, clock, request } = scene();
  const refused = async (asked: CheckInRequest) => (await checkIns.checkIn(asked, peer))?.why;
  const good = request();
  const stranger = 'no host of this name has this key';
  assert.equal(await refused(request({}, { key: another.file })), stranger);
  assert.equal(await refused(request({ host: 'm2' })), stranger);
  const notThis = 'the signature is not over this';
  assert.equal(await refused({ ...good, bootId: 'b-2' }), notThis);
  assert.equal(await refused({ ...good, host: 'm2' }), notThis);
  assert.equal(await refused(request({}, { to: '0'.repeat(64) })), notThis);
  assert.equal(await refused(request({}, { namespace: 'file' })), notThis);
  assert.match((await refused({ ...good, signature: 'x' })) ?? '', /^signature: no armoured/);
  assert.match((await refused({ ...good, bootedSystem: '/etc' })) ?? '', /^booted_system/);
  assert.match((await refused({ ...good, bootId: 'a\nb' })) ?? '', /^boot_id/);
  const late = 'the challenge is not good any more; ask for another';
  const invented = Buffer.concat([good.challenge.subarray(0, 39), Buffer.of(good.challenge[39]! ^ 1)]);
  assert.equal(await refused(request({ challenge: invented })), late);
  assert.equal(await refused(request({ challenge: Buffer.alloc(3) })), late);
  const slow = request();
  clock.ticks += 60_001;
  assert.equal(await refused(slow), late);
  assert.deepEqual(told, []);
  const once = request();
  const both = await Promise.all([refused(once), refused(once)]);
  assert.deepEqual(both, [undefined, late]);
  assert.equal(await refused(once), late);
});
