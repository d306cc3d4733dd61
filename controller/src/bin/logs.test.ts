import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { Machine } from '@nixie/proto/operator';
import { coloured, plain } from '../cli/colour.ts';
import type { LogsRequest } from '../cli/logs-request.ts';
import { RunLog } from '../core/run-log.ts';
import { type OperatorDesk, startOperator } from '../listen/operator.ts';
import type { HostLine } from '../machine/host-line.ts';
import { lineText } from '../store/log-format.ts';
import { logs } from './logs.ts';

const at = Date.UTC(2026, 10, 20, 21, 0, 0);
const line = (text: string, more: Partial<HostLine> = {}): HostLine => ({
  at,
  stage: 'copy',
  origin: 'journal',
  source: 'sshd.service',
  text,
  ...more,
});

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-logs-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function open(t: TestContext, desk: Partial<OperatorDesk['logs']> = {}) {
  const folder = folderOf(t);
  const socket = join(folder, 'operator.sock');
  const log = new RunLog({ mask: (text) => text, now: () => at });
  log.moved('web1', 'copy', 0);
  const door = await startOperator(socket, {
    machines: () => [Machine.fromPartial({ host: 'web1' })],
    inventory: () => undefined,
    retry: () => undefined,
    cancel: () => undefined,
    wake: async () => 0,
    trail: (host) => ({ host, stages: [], entries: [], around: [] }),
    watch: () => () => {},
    logs: {
      follow: (host, listener) => log.follow(host, listener),
      until: (host, filter) => log.until(host, filter),
      ...desk,
    },
  });
  t.after(() => door.close());
  return { folder, socket, log, door };
}

function ask(given: Partial<LogsRequest>, write?: (text: string) => Promise<boolean>, paint = plain) {
  let out = '';
  let err = '';
  const request: LogsRequest = {
    host: 'web1',
    socket: '/nowhere',
    logDir: '/nowhere',
    follow: false,
    json: false,
    ...given,
  };
  const world = {
    write: async (text: string) => {
      out += text;
      return (await write?.(text)) ?? true;
    },
    err: (text: string) => {
      err += text;
    },
    paint,
    now: () => at + 60_000,
  };
  const code = logs(request, world);
  return { code, out: () => out, done: code.then((status) => ({ status, out, err })) };
}

async function until(holds: () => boolean): Promise<void> {
  const end = performance.now() + 120_000;
  while (!holds()) {
    assert.ok(performance.now() < end, `waited for ${holds}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('lines of the controller that runs, filtered, as text, in colours, as JSON', async (t) => {
  const { socket, log } = await open(t);
  log.keep('web1', [
    line('old', { at: at - 600_000 }),
    line('bad\u001b[2J', { severity: 3 }),
    line('hm', { severity: 4, origin: 'kernel', source: 'kernel' }),
  ]);
  const all = await ask({ socket }).done;
  assert.deepEqual([all.status, all.err], [0, '']);
  assert.equal(
    all.out,
    [
      '2026-11-20T20:50:00.000Z copy journal sshd.service: old\n',
      '2026-11-20T21:00:00.000Z copy journal sshd.service: bad\n',
      '2026-11-20T21:00:00.000Z copy kernel kernel: hm\n',
    ].join(''),
  );
  const late = await ask({ socket, since: (now) => now - 120_000, json: true }).done;
  assert.deepEqual(JSON.parse(late.out.split('\n')[0]!), {
    at: '2026-11-20T21:00:00.000Z',
    host: 'web1',
    stage: 'copy',
    origin: 'journal',
    source: 'sshd.service',
    severity: 3,
    text: 'bad',
  });
  assert.equal((await ask({ socket, stage: 'disko' }).done).out, '');
  const painted = await ask({ socket }, undefined, coloured).done;
  assert.match(painted.out, /\u001b\[31mbad\u001b\[39m\n.*\u001b\[33mhm\u001b\[39m/);
});

test('who follows gets what is kept and then each line, until the controller ends', async (t) => {
  const { socket, log, door } = await open(t);
  log.keep('web1', [line('before')]);
  const asked = ask({ socket, follow: true });
  await until(() => asked.out().includes('before'));
  log.keep('web1', [line('after')]);
  log.keep('web1', [line('elsewhere', { at: 0 })]);
  await until(() => asked.out().includes('after'));
  await door.close();
  const { status, out } = await asked.done;
  assert.deepEqual([status, out.split('\n').length], [0, 4]);
});

test('a reader that is too slow loses the oldest lines, and is told how many; nobody waits for him', async (t) => {
  const { socket, log, door } = await open(t);
  log.keep('web1', [line('first')]);
  const gate = Promise.withResolvers<boolean>();
  const asked = ask({ socket, follow: true }, () => gate.promise);
  await until(() => asked.out().includes('first'));
  const long = 'x'.repeat(2000);
  for (let i = 0; i < 16_000; i++) {
    log.keep('web1', [line(`${i} ${long}`)]);
    if (i % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  gate.resolve(true);
  await until(() => asked.out().includes('15999'));
  await door.close();
  const { status, out, err } = await asked.done;
  assert.equal(status, 0);
  const numbers = [...out.matchAll(/: (\d+) x/g)].map((match) => Number(match[1]));
  const lost = [...err.matchAll(/nixie: ([\d,]+) lines dropped: they were read too slowly\n/g)].reduce(
    (sum, match) => sum + Number(match[1]!.replaceAll(',', '')),
    0,
  );
  assert.ok(lost > 1000);
  assert.equal(numbers.length + lost, 16_000);
  assert.deepEqual(
    numbers,
    numbers.toSorted((a, b) => a - b),
  );
});

test('long lines come whole, however many', async (t) => {
  const { socket, log } = await open(t);
  for (let i = 0; i < 30; i++) log.keep('web1', [line(`${i} ${'ü'.repeat(60_000)}`, { origin: 'nix' })]);
  const asked = ask({ socket, follow: true });
  await until(() => asked.out().includes(': 29 '));
  const many = Array.from({ length: 200 }, (_, i) => line(`again ${i} ${'ü'.repeat(30_000)}`));
  log.keep('web1', many);
  await until(() => asked.out().includes(': again 199 '));
  assert.equal(asked.out().split('\n').length, 231);
});

test('a reader that has gone ends it', async (t) => {
  const { socket, log } = await open(t);
  log.keep('web1', [line('x')]);
  const { status } = await ask({ socket, follow: true }, async () => false).done;
  assert.equal(status, 0);
});

test('a controller that fails says so with 1', async (t) => {
  const { socket } = await open(t, {
    // biome-ignore lint/correctness/useYield: it fails before
    async *until() {
      throw new Error('disk is gone');
    },
  });
  const { status, err } = await ask({ socket }).done;
  assert.deepEqual([status, /ask the controller at .*: disk is gone\n$/.test(err)], [1, true]);
});

test('without a controller the files of the newest run that knows the host are read', async (t) => {
  const logDir = folderOf(t);
  const put = (run: string, host: string, texts: string[]) => {
    mkdirSync(join(logDir, run), { recursive: true });
    writeFileSync(join(logDir, run, `${host}.log`), texts.map((text) => `${lineText(line(text))}\n`).join(''));
  };
  put('20260101T000000Z', 'web1', ['oldest']);
  put('20260102T000000Z', 'web1', ['newer']);
  put('20260102T000000Z', 'web1.log', ['another host']);
  writeFileSync(join(logDir, '20260102T000000Z', 'web1.log.1'), `${lineText(line('set aside'))}\ntorn`);
  put('20260103T000000Z', 'db', ['of db']);
  const found = await ask({ logDir }).done;
  assert.equal(found.status, 0);
  assert.deepEqual(found.out.match(/(?<=: ).*/g), ['set aside', 'newer']);
  assert.equal(found.err, `nixie: no controller runs: lines of ${join(logDir, '20260102T000000Z')}\n`);
  const none = await ask({ logDir, host: 'web9' }).done;
  assert.deepEqual([none.status, none.out], [2, '']);
  assert.equal((await ask({}).done).status, 3);
  const { socket } = await open(t);
  const other = await ask({ socket, logDir, host: 'db' }).done;
  assert.deepEqual([other.status, other.out.includes('of db')], [0, true]);
  assert.match(other.err, /^nixie: db is not of the run that goes on: lines of /);
  const unknown = await ask({ socket, logDir, host: '../../etc/passwd' }).done;
  assert.equal(unknown.status, 2);
  assert.match(unknown.err, /there is no host ".*passwd" in this run, and .* has no log of/);
});
