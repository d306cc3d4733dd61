import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { Machine, type WatchResponse } from '@nixie/proto/operator';
import { plain } from '../cli/colour.ts';
import type { ExitCode } from '../cli/exit-codes.ts';
import { openView } from '../cli/view.ts';
import { type OperatorDesk, startOperator } from '../listen/operator.ts';
import { cancel, names, type OperateWorld, retry, status } from './operate.ts';

const machines = [
  Machine.fromPartial({
    host: 'web1',
    stage: 'failed',
    stageSinceUnixMs: 940_000n,
    reason: 'no \u001b[31mluck',
    address: '10.0.0.7',
    secondsPerStage: { firmware: 71, waking: 2.4, probing: 0.1 },
  }),
  Machine.fromPartial({ host: 'web2', stage: 'copy', stageSinceUnixMs: 0n, agentConnected: true, macs: ['m'] }),
];

async function withDesk(desk: Partial<OperatorDesk>, use: (socket: string) => Promise<void>) {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-operate-'));
  const socket = join(folder, 'operator.sock');
  const nothing = () => undefined;
  const door = await startOperator(socket, {
    machines: () => machines,
    inventory: nothing,
    retry: nothing,
    cancel: nothing,
    wake: async () => 0,
    watch: () => () => {},
    logs: { follow: () => () => {}, async *until() {} },
    trail: (host) => ({ host, stages: [], entries: [], around: [] }),
    ...desk,
  });
  try {
    await use(socket);
  } finally {
    await door.close();
    rmSync(folder, { recursive: true });
  }
}

async function said(run: (world: OperateWorld) => Promise<ExitCode>) {
  let out = '';
  let err = '';
  const code = await run({
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    now: () => 1_000_000,
    view: (hosts) => {
      const write = (text: string) => {
        out += text;
      };
      const screen = { write, isTerminal: false, columns: 80, rows: 24 };
      return openView({ mode: 'people', hosts, debug: false, paint: plain }, screen, {
        now: () => 0,
        after: () => () => {},
      });
    },
  });
  return { code, out, err };
}

test('retry and cancel reach each host, and the worst that happened is the status', async () => {
  const asked: string[] = [];
  const desk = {
    retry: (host: string) => void asked.push(`retry ${host}`),
    cancel: (host: string) => {
      asked.push(`cancel ${host}`);
      return host === 'web1' ? { refused: 'web1 has ended\u0007' } : undefined;
    },
  };
  await withDesk(desk as Partial<OperatorDesk>, async (socket) => {
    assert.deepEqual(await said((world) => retry({ socket, hosts: ['web1', 'web2'] }, world)), {
      code: 0,
      out: 'web1 begins anew\nweb2 begins anew\n',
      err: '',
    });
    const refused = await said((world) => cancel({ socket, hosts: ['web1', 'web2'] }, world));
    assert.deepEqual([refused.code, refused.out], [1, 'web2 is cancelled\n']);
    assert.match(refused.err, /^nixie: web1 has ended.?\n$/);
    assert.doesNotMatch(refused.err, /\u0007/);
    const unknown = await said((world) => cancel({ socket, hosts: ['web1', 'web9'] }, world));
    assert.equal(unknown.code, 2);
    assert.match(unknown.err, /nixie: there is no host "web9" in this run\n$/);
  });
  assert.equal(asked.length, 5);
});

test('status is a table, or JSON, and gives names', async () => {
  await withDesk({}, async (socket) => {
    const table = await said((world) => status({ socket, watch: false, json: false }, world));
    assert.equal(table.code, 0);
    const [head, first, passed, second] = table.out.split('\n');
    assert.match(head!, /^host +stage +since +address +agent +progress, or reason$/);
    assert.match(first!, /^web1 +failed +1:00 {2}10\.0\.0\.7 +- +no .*luck$/);
    assert.doesNotMatch(first!, /\u001b/);
    assert.equal(passed, '     waking 0:02, firmware 1:11');
    assert.match(second!, /^web2 +copy +16:40 {2}- +yes$/);
    const json = await said((world) => status({ socket, watch: false, json: true }, world));
    assert.deepEqual(JSON.parse(json.out.split('\n')[1]!), {
      host: 'web2',
      macs: ['m'],
      stage: 'copy',
      since: '1970-01-01T00:00:00.000Z',
      agent_connected: true,
      seconds: {},
    });
    assert.deepEqual(await names({ socket }), ['web1', 'web2']);
  });
  await withDesk({ machines: () => [] }, async (socket) => {
    const none = await said((world) => status({ socket, watch: false, json: false }, world));
    assert.equal(none.out, 'this controller has no hosts\n');
  });
});

test('watch goes on until the controller ends', async () => {
  let tell: (message: WatchResponse) => void = () => {};
  const watched = Promise.withResolvers<void>();
  let watching: ReturnType<typeof said> | undefined;
  const watch: OperatorDesk['watch'] = (listener) => {
    tell = listener;
    watched.resolve();
    return () => {};
  };
  await withDesk({ watch }, async (socket) => {
    watching = said((world) => status({ socket, watch: true, json: false }, world));
    await watched.promise;
    const progress = { percent: 40, overallPercent: 60, etaSeconds: 65 };
    const machine = Machine.fromPartial({ host: 'web2', stage: 'install', stageSinceUnixMs: 5000n, progress });
    tell({ message: { $case: 'machine', value: machine } });
    const event = { event: 'stage', at: '1970-01-01T00:00:09.000Z', host: 'web2', stage: 'rebooting' };
    tell({ message: { $case: 'eventJson', value: JSON.stringify(event) } });
  });
  const { code, out } = await watching!;
  assert.equal(code, 0);
  for (const line of [
    '00:00:05 web2: install',
    '00:16:40 web2: install 40%, 60% of all, 1:05 left',
    '00:00:09 web2: rebooting',
  ])
    assert.ok(out.split('\n').includes(line), `${line} in\n${out}`);
});

test('where nobody answers it says so, with 3', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-operate-'));
  try {
    const stale = join(folder, 'stale.sock');
    writeFileSync(stale, '');
    for (const socket of [join(folder, 'none.sock'), stale]) {
      const { code, err } = await said((world) => status({ socket, watch: false, json: false }, world));
      assert.equal(code, 3);
      assert.match(err, /^nixie: no controller answers at .*\.sock; is it running/);
      assert.deepEqual(await names({ socket }), []);
    }
    const watching = await said((world) => status({ socket: stale, watch: true, json: true }, world));
    assert.equal(watching.code, 3);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
