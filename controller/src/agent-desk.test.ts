// Log lines the whole way: the agent's queue and session, gRPC over TLS, the controller's log and files.
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { Inventory } from '@nixie/proto/inventory';
import { PinnedCredentials } from '@nixie/proto/pinned';
import { makeClient } from '../../agent/src/client.ts';
import { realClock } from '../../agent/src/host.ts';
import { loadIdentity } from '../../agent/src/identity.ts';
import type { Instructions } from '../../agent/src/instructions.ts';
import { followJournal } from '../../agent/src/journal.ts';
import { LogQueue } from '../../agent/src/log-queue.ts';
import { holdSession } from '../../agent/src/session.ts';
import { makeAgentDesk } from './agent-desk.ts';
import { Account } from './core/account.ts';
import { Heard } from './core/heard.ts';
import { Warnings } from './core/warnings.ts';
import { startAgentServer } from './listen/agents.ts';
import type { RunEvent } from './machine/event.ts';
import type { HostLine } from './machine/host-line.ts';
import type { Mac } from './machine/mac.ts';
import { makeCredential, readCredential } from './machine/token.ts';
import { beginRunLogs } from './store/run-logs.ts';
import { makeTls } from './store/tls.ts';

const tls = await makeTls();
const ticks = () => performance.now();

async function open(t: TestContext, more: { room?: () => Promise<void>; heartbeatMs?: number } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-logs-'));
  const events: RunEvent[] = [];
  const files = beginRunLogs({
    logDir: join(folder, 'logs'),
    now: Date.now,
    ticks,
    warn: (text) => assert.fail(text),
  })!;
  const account = new Account({
    hosts: { all: () => [], named: () => undefined },
    life: () => undefined,
    toplevel: () => undefined,
    agentConnected: () => true,
    show: (event) => void events.push(event),
    proved: () => {},
    logFiles: files,
    now: Date.now,
    ticks,
  });
  account.emit({ event: 'stage', at: new Date().toISOString(), host: 'm1', stage: 'registered' });
  const beats: bigint[] = [];
  const heard = new Heard(ticks);
  const desk = makeAgentDesk({
    admission: {
      register: () => ({ refused: 'denied', why: 'not here' }),
      credential: (text) => readCredential(tls.credentialSecret, text),
      session: () => undefined,
    },
    registrations: { get: () => undefined },
    heard,
    inventories: new Map(),
    hardware: { put: () => {} },
    warnings: new Warnings((text) => assert.fail(text), ticks),
    heardOf: () => {},
    stageOf: () => 'registered',
    said: (host, lines) => account.said(host, lines),
    room: more.room ?? (() => account.log.room()),
    emit: account.emit,
    now: Date.now,
  });
  const server = await startAgentServer({
    addresses: ['127.0.0.1'],
    port: 0,
    tls,
    core: { ...desk, onHeartbeat: (_host, { sequence }) => void beats.push(sequence) },
  });
  const identity = loadIdentity(undefined, 'boot-1', tls.fingerprint);
  const agentKey = identity.publicKey;
  const mac = '52:54:00:00:00:01' as Mac;
  const credential = {
    credential: makeCredential(tls.credentialSecret, { host: 'm1', mac, bootId: 'boot-1', agentKey }),
    host: 'm1',
    heartbeatMs: more.heartbeatMs ?? 5000,
  };
  const stop = new AbortController();
  const sessions: Promise<void>[] = [];
  t.after(async () => {
    stop.abort();
    await Promise.all(sessions);
    await server.close();
    await files.close();
    rmSync(folder, { recursive: true });
  });
  return {
    folder,
    files,
    account,
    events,
    beats,
    server,
    stop,
    /** Holds sessions until the end, one after the other. */
    connect(logs: LogQueue): void {
      const live = async () => {
        while (!stop.signal.aborted) {
          const client = makeClient(server.bound[0]!, new PinnedCredentials(tls.fingerprint));
          await holdSession({
            client,
            identity,
            credential,
            address: '127.0.0.1',
            instructions: {} as Instructions,
            logs,
            clock: realClock,
            vitals: () => ({ uptimeMs: 1, memoryAvailableBytes: 1 }),
            addressHolds: () => true,
            carryProgress: () => {},
            carryHardware: () => {},
            signal: stop.signal,
          });
          client.close();
        }
      };
      sessions.push(live());
    },
    journal(program: string, logs: LogQueue): void {
      const given = { sink: logs, clock: { ...realClock, sleep: async () => stop.abort() }, ownPid: 1, program };
      sessions.push(followJournal({ ...given, signal: stop.signal }).then(() => undefined));
    },
    async written(): Promise<string[]> {
      await files.close();
      return readFileSync(join(files.folder, 'm1.log'), 'utf8')
        .split('\n')
        .flatMap((line) => / (?:agent|journal)(?:\/\d)? \S+: (.*)$/.exec(line)?.[1] ?? []);
    },
  };
}

async function until(holds: () => boolean): Promise<void> {
  const end = performance.now() + 60_000;
  while (!holds()) {
    assert.ok(performance.now() < end, `waited for ${holds}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Stands for journalctl: says so many lines as fast as it can, then waits to be ended. */
function flood(folder: string, lines: number): string {
  const program = join(folder, 'journalctl');
  const json = '{"MESSAGE":"line %.0f","_SYSTEMD_UNIT":"flood.service","PRIORITY":"6","__CURSOR":"s=1;i=1"}';
  writeFileSync(program, `#!/bin/sh\nseq -f '${json}' ${lines}\nexec sleep 600\n`);
  chmodSync(program, 0o755);
  return program;
}

test('sessions break again and again, and each line is there once and in order', async (t) => {
  const { account, server, connect, written } = await open(t);
  const logs = new LogQueue({ stream: 1n });
  const came: string[] = [];
  let batches = 0;
  account.log.follow('m1', (lines: readonly HostLine[]) => {
    // The end of a session is a line, too.
    if (lines[0]?.origin !== 'agent') return;
    came.push(...lines.map(({ text }) => text));
    // In the middle of a batch's way: it is taken and not acknowledged yet.
    if (++batches % 3 === 0) server.drop('m1', 'for a test');
  });
  connect(logs);
  let said = 0;
  for (; said < 2000; ) {
    for (let i = 0; i < 40; i++) logs.add({ ticks: realClock.ticks(), source: 'agent', text: `line ${said++}` });
    await new Promise((resolve) => setImmediate(resolve));
  }
  await until(() => came.length === said && logs.length === 0);
  const want = Array.from({ length: said }, (_, i) => `line ${i}`);
  assert.deepEqual(came, want);
  assert.deepEqual(await written(), want);
});

test('a flood of 100,000 lines arrives complete, is kept, and only as much of it is shown as can be followed', async (t) => {
  const { folder, account, events, connect, journal, written } = await open(t);
  const logs = new LogQueue({ stream: 1n });
  let came = 0;
  account.log.follow('m1', (lines) => {
    came += lines.length;
  });
  const began = performance.now();
  connect(logs);
  journal(flood(folder, 100_000), logs);
  await until(() => came === 100_000);
  const seconds = (performance.now() - began) / 1000;
  assert.equal(logs.dropped, 0);
  const found = await written();
  assert.equal(found.length, 100_000);
  for (const [i, text] of found.entries()) assert.equal(text, `line ${i + 1}`);
  const shown = events.filter((event) => event.event === 'log').length;
  // Five thousand at once, and five hundred in each second.
  assert.ok(shown >= 5000 && shown <= 5000 + 500 * (seconds + 2), `${shown} events in ${seconds} s`);
  assert.ok(seconds < 60);
  t.diagnostic(
    `${Math.round(100_000 / seconds)} lines/s, ${process.memoryUsage.rss() >> 20} MiB RSS of both ends together`,
  );
});

test('a slow controller: beats go on, memory stays bounded, the journal waits and comes complete; what comes only once is counted', async (t) => {
  let release: (() => void) | undefined;
  let blocked: Promise<void> | undefined = new Promise((resolve) => {
    release = resolve;
  });
  const { folder, account, beats, connect, journal } = await open(t, {
    room: () => blocked ?? Promise.resolve(),
    heartbeatMs: 200,
  });
  const logs = new LogQueue({ stream: 1n });
  const came: HostLine[] = [];
  account.log.follow('m1', (lines) => void came.push(...lines));
  connect(logs);
  journal(flood(folder, 20_000), logs);
  // The window is out, the queue is full, nothing is acknowledged.
  await until(() => came.length === 2000 && logs.full);
  const before = beats.length;
  await until(() => beats.length >= before + 3);
  assert.equal(came.length, 2000);
  assert.ok(logs.length < 5000);
  assert.equal(logs.dropped, 0);
  for (let i = 0; i < 6000; i++) logs.add({ ticks: realClock.ticks(), source: 'agent', text: `own ${i}` });
  assert.equal(logs.length, 5000);
  const { dropped } = logs;
  assert.ok(dropped > 1000);
  blocked = undefined;
  release?.();
  await until(() => came.at(-1)?.text === 'line 20000');
  const own = came.filter(({ text }) => text.startsWith('own ')).length;
  const lines = came.filter(({ text }) => text.startsWith('line ')).length;
  const counted = came.flatMap(({ text }) => /^([\d,]+) lines dropped$/.exec(text)?.[1] ?? []);
  const lost = counted.reduce((sum, count) => sum + Number(count.replaceAll(',', '')), 0);
  assert.equal(own + lines + lost, 26_000);
  assert.match(counted[0]!, /^\d,\d{3}$/);
});

test('a disk that says it fails is told of as soon as its agent has told so, and once', () => {
  const told: string[] = [];
  const desk = makeAgentDesk({
    hardware: { put: () => {} },
    warnings: new Warnings(
      (text, host) => told.push(`${host}: ${text}`),
      () => 0,
    ),
    now: () => 0,
  } as unknown as Parameters<typeof makeAgentDesk>[0]);
  const value = Inventory.fromPartial({
    disks: [{ path: '/dev/sda', serial: 'S1', sizeBytes: 8_000_000_000n, health: { verdict: 'fail' } }],
  });
  for (let at = 0; at < 3; at++) desk.onHardware?.('m1', { content: { $case: 'inventory', value } });
  assert.deepEqual(told, ['m1: its disk /dev/sda (8.0 GB, S1) says that it fails (SMART)']);
});
