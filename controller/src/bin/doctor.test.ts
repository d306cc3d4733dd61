// `nixie doctor HOST` against a controller that runs, and against the journal of one that is gone.
import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { Machine } from '@nixie/proto/operator';
import { readDoctor } from '../cli/doctor-request.ts';
import { type OperatorDesk, startOperator } from '../listen/operator.ts';
import type { RunEvent } from '../machine/event.ts';
import type { Mac } from '../machine/mac.ts';
import type { Stage } from '../machine/stage.ts';
import { openJournal } from '../store/journal.ts';
import { Trails } from '../trails.ts';
import { doctorMachines } from './doctor.ts';

const mac = '52:54:00:00:00:01' as Mac;
const start = Date.UTC(2026, 0, 1, 12);

/** A run of two machines in a state folder: web1 has asked three times and taken no address, web2 is proved. */
function runIn(folder: string) {
  let now = start;
  const journal = openJournal(join(folder, 'journal.jsonl'));
  const trails = new Trails({ hostOfMac: new Map([[mac, 'web1']]), journal, now: () => now });
  const stage = (host: string, entered: Stage, reason?: string) => {
    const at = new Date(now).toISOString();
    const more = reason === undefined ? {} : { reason };
    journal.write({ at, host, happening: 'begin', stage: entered, ...more });
    trails.event({ event: 'stage', at, host, stage: entered, ...more } satisfies RunEvent);
  };
  stage('web1', 'firmware');
  stage('web2', 'proved');
  for (let count = 0; count < 3; count++) {
    now += 4000;
    const asked = { asked: 'DISCOVER', client: 'pxe', port: 67, why: 'proxy offer', detail: 'snponly.efi' } as const;
    trails.seen({ kind: 'dhcp-answered', mac, interface: 'eth0', ...asked });
  }
  return { journal, trails, stage, now: () => now };
}

async function setUp(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-doctor-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const said = { out: '', err: '' };
  const world = {
    out(text: string) {
      said.out += text;
    },
    err(text: string) {
      said.err += text;
    },
    paint: (_colour: string, text: string) => text,
    now: () => start + 60_000,
  };
  const ask = async (host: string | undefined, json = false) => {
    said.out = '';
    said.err = '';
    const request = readDoctor(host, { state: folder, json }, { cwd: '/', uid: 0, env: {} });
    assert.equal(request.of, 'machines');
    const code = await doctorMachines(request as never, world);
    return { code, ...said };
  };
  return { folder, ask };
}

test('a controller that runs is asked', async (t) => {
  const { folder, ask } = await setUp(t);
  const { trails, journal } = runIn(folder);
  t.after(() => journal.close());
  const desk: Partial<OperatorDesk> = {
    machines: () => ['web1', 'web2'].map((host) => Machine.fromPartial({ host })),
    trail: (host) => trails.of(host),
  };
  const door = await startOperator(join(folder, 'operator.sock'), desk as OperatorDesk);
  t.after(() => door.close());
  const one = await ask('web1');
  assert.equal(one.code, 1, one.err);
  assert.match(
    one.out,
    /^web1: firmware since 12:00:00Z; asked for an address\n {2}no-address: it asked 3 times and took no address/,
  );
  assert.match(
    one.out,
    /\n {4}12:00:04Z to 12:00:12Z, 3 times: DISCOVER of firmware, answered: proxy offer: snponly\.efi\n$/,
  );
  const fine = await ask('web2');
  assert.deepEqual([fine.code, fine.out], [0, 'web2: proved since 12:00:00Z; nothing heard of it\n  nothing found\n']);
  const all = await ask(undefined, true);
  const told = all.out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    [all.code, told.length, told[0].host, told[0].findings[0].id, told[0].from],
    [1, 1, 'web1', 'no-address', 'controller'],
  );
  const none = await ask('web9');
  assert.deepEqual([none.code, none.err], [2, 'nixie: doctor: the run has no host "web9"; its hosts: web1, web2\n']);
});

test('without one, the journal of the last run is read', async (t) => {
  const { folder, ask } = await setUp(t);
  runIn(folder).journal.close();
  const { stage, journal } = runIn(folder);
  stage('web1', 'failed', 'its firmware asked but never fetched its boot script');
  journal.close();
  // A crash in the middle of a line, and what another program put there.
  appendFileSync(join(folder, 'journal.jsonl'), '{"at":"2026-01-01T13:00:00.000Z","host":"we');
  const one = await ask('web1');
  assert.equal(one.code, 1, one.err);
  assert.match(
    one.out,
    /^no controller runs; from its journal, which ends 2026-01-01T12:00:12\.000Z\nweb1: failed since 12:00:12Z; asked for an address\n/,
  );
  // Of the run before nothing is counted.
  assert.match(one.out, /no-address: it asked 3 times/);
  assert.equal((await ask('web9')).code, 2);
});

test('nothing to look at is not nothing found', async (t) => {
  const { folder, ask } = await setUp(t);
  const { code, err } = await ask(undefined);
  assert.equal(code, 3);
  assert.ok(err.includes(`there is no journal of a run in ${folder}`), err);
});
