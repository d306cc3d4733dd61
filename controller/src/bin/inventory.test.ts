import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { gzipSync } from 'node:zlib';
import { Inventory } from '@nixie/proto/inventory';
import { readInventoryJson, writeInventoryJson } from '@nixie/proto/inventory-json';
import { Machine } from '@nixie/proto/operator';
import type { InventoryFormat } from '../cli/inventory-request.ts';
import { type OperatorDesk, startOperator } from '../listen/operator.ts';
import type { Mac } from '../machine/mac.ts';
import { openHardware } from '../store/hardware.ts';
import { openRegistrations } from '../store/registrations.ts';
import { inventory } from './inventory.ts';

const quick = Inventory.fromPartial({
  schemaVersion: 1,
  boot: { bootId: 'b1' },
  disks: [{ path: '/dev/sda', sizeBytes: 2n ** 60n, serial: 'A' }],
});
const full = Inventory.fromPartial({ ...quick, depth: 'full', tpm: { present: true } });
const facter = '{"version": 1}\n';

function folder(t: { after(call: () => void): void }): string {
  const made = mkdtempSync(join(tmpdir(), 'nixie-inventory-'));
  t.after(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

async function run(stateDir: string, host: string | undefined, format: InventoryFormat) {
  let out = '';
  let err = '';
  const request = {
    ...(host === undefined ? {} : { host }),
    format,
    socket: join(stateDir, 'operator.sock'),
    stateDir,
  };
  const code = await inventory(request, {
    out: (text) => {
      out += Buffer.from(text).toString();
    },
    err: (text) => {
      err += text;
    },
  });
  return { code, out, err };
}

test('who may not open the socket is told so, and what to do', async (t) => {
  const stateDir = folder(t);
  const closed = join(stateDir, 'closed');
  mkdirSync(closed, { mode: 0 });
  const isRoot = process.getuid?.() === 0;
  if (isRoot) process.seteuid?.(65534);
  try {
    for (const host of [undefined, 'web1']) {
      const { code, out, err } = await run(closed, host, 'table');
      assert.deepEqual([code, out], [3, '']);
      assert.equal(
        err,
        `nixie: this user may not open the controller's socket at ${closed}/operator.sock; ask as root, or as the user of the controller, or name another folder with --state\n`,
      );
    }
  } finally {
    if (isRoot) process.seteuid?.(0);
    chmodSync(closed, 0o700);
  }
});

test('of a controller that runs', async (t) => {
  const stateDir = folder(t);
  const machine = (host: string) => Machine.fromPartial({ host, stage: 'copy' });
  const none = () => undefined;
  const door = await startOperator(join(stateDir, 'operator.sock'), {
    machines: () => ['web1', 'new', 'odd'].map(machine),
    inventory: (host: string) =>
      host === 'web1'
        ? { inventory: full, facter: Buffer.from(facter) }
        : host === 'odd'
          ? { inventory: quick, facter: undefined, facterMissing: 'status 1: no root' }
          : { inventory: undefined, facter: undefined },
    retry: none,
    cancel: none,
    wake: async () => 0,
    watch: () => () => {},
  } as unknown as OperatorDesk);
  t.after(() => door.close());
  const json = await run(stateDir, 'web1', 'json');
  assert.equal(json.code, 0);
  assert.deepEqual(readInventoryJson(json.out), full);
  assert.match(json.out, /"size_bytes": 1152921504606846976,/);
  assert.deepEqual(await run(stateDir, 'web1', 'facter'), { code: 0, out: facter, err: '' });
  assert.match((await run(stateDir, 'web1', 'table')).out, /^web1\n[\s\S]*\/dev\/sda/);
  assert.match((await run(stateDir, 'web1', 'nix')).out, /networking\.hostName/);
  assert.match((await run(stateDir, 'web1', 'runtime-info')).out, /"diskToFormat": "\/dev\/sda"/);
  const all = await run(stateDir, undefined, 'table');
  assert.deepEqual([all.code, all.out.split('\n').length], [0, 5]);
  const lines = (await run(stateDir, undefined, 'json')).out.trimEnd().split('\n');
  assert.deepEqual(lines, [
    `{"host":"web1","inventory":${writeInventoryJson(full, 0)}}`,
    `{"host":"odd","inventory":${writeInventoryJson(quick, 0)}}`,
  ]);
  const [unknown, silent, without] = [
    await run(stateDir, 'web9', 'json'),
    await run(stateDir, 'new', 'table'),
    await run(stateDir, 'odd', 'facter'),
  ];
  assert.deepEqual([unknown.code, unknown.err], [2, 'nixie: there is no host "web9" in this run\n']);
  assert.deepEqual([silent.code, silent.err], [1, 'nixie: the agent of new has not reported yet\n']);
  assert.deepEqual([without.code, without.out], [1, '']);
  assert.match(without.err, /odd has no report of nixos-facter: status 1: no root/);
});

test('of what a controller left in its state folder', async (t) => {
  const stateDir = folder(t);
  const nothing = await run(stateDir, undefined, 'table');
  assert.deepEqual([nothing.code, nothing.out], [3, '']);
  assert.match(
    nothing.err,
    /^nixie: no controller answers at .*, and .* keeps nothing of any machine; is this its --state\?\n$/,
  );
  openRegistrations(join(stateDir, 'registrations')).put('web1', {
    bootId: 'b1',
    mac: '52:54:00:00:00:01' as Mac,
    sshHostKey: `ssh-ed25519 ${'A'.repeat(68)}`,
    inventory: quick,
  });
  const shelf = openHardware(join(stateDir, 'hardware'));
  shelf.put('web1', { content: { $case: 'inventory', value: full } });
  shelf.put('only', {
    content: { $case: 'facter', value: { jsonGzip: gzipSync(facter), jsonBytes: BigInt(facter.length) } },
  });
  assert.deepEqual(readInventoryJson((await run(stateDir, 'web1', 'json')).out), full);
  assert.equal((await run(stateDir, 'only', 'facter')).out, facter);
  assert.match((await run(stateDir, undefined, 'table')).out, /^host[^\n]*\nonly +nothing is known of it yet\nweb1 /);
  assert.match((await run(stateDir, 'web1', 'facter')).err, /web1 sent no report of nixos-facter: is it in/);
  const gone = await run(stateDir, 'web9', 'json');
  assert.equal(gone.code, 2);
  assert.match(
    gone.err,
    /no controller answers at .*operator\.sock, and .* keeps nothing of it; is this its --state\?/,
  );
});
