import assert from 'node:assert/strict';
import test from 'node:test';
import type { Terminal } from '../cli/ask.ts';
import type { ExitCode } from '../cli/exit-codes.ts';
import type { InventoryRun } from '../config/inventory-run.ts';
import { ConfigError } from '../config/problem.ts';
import type { InventoryRunEnd } from '../inventory-run.ts';
import type { Mac } from '../machine/mac.ts';
import { inventoryOnly } from './inventory-only.ts';

const run: InventoryRun = {
  allowed: { hosts: [], prefixes: [] },
  ask: true,
  installers: { 'x86_64-linux': '.#i' },
  flake: '.',
  interfaces: ['eth1'],
  dhcp: { mode: 'proxy' },
  subnets: [],
  stateDir: '/s',
  out: '/o',
  json: false,
  debug: false,
  buildTimeoutSeconds: 1,
};

async function play(
  answer: string | undefined,
  more: { run?: Partial<InventoryRun>; end?: InventoryRunEnd | Error } = {},
) {
  const asked: string[] = [];
  const ran: InventoryRun[] = [];
  let out = '';
  let closed = 0;
  const typed = answer === undefined ? [] : [Buffer.from(answer)];
  const terminal: Terminal = {
    write: (text) => void asked.push(text),
    read: async () => typed.shift(),
    close: () => void closed++,
  };
  const code: ExitCode = await inventoryOnly(
    { ...run, ...more.run },
    {
      env: {},
      cwd: '/',
      uid: 0,
      out: (text) => {
        out += text;
      },
      terminal: () => (answer === undefined ? undefined : terminal),
      exit: () => assert.fail('not ended by a second signal'),
      run: async (given) => {
        ran.push(given);
        const { end = { read: ['a', 'b'], failed: [] } } = more;
        if (end instanceof Error) throw end;
        return end;
      },
    },
  );
  return { code, asked, ran, out, closed };
}

test('every machine is booted only after a yes on the terminal', async () => {
  for (const yes of ['y\r', 'YES\n', ' yes \r']) {
    const { code, asked, ran, closed } = await play(yes);
    assert.deepEqual([code, closed], [0, 1]);
    assert.match(asked[0]!, /Every machine that boots from eth1 is booted .* switched off, whoever's it is/);
    assert.deepEqual(
      ran.map(({ allowed, ask }) => ({ ...allowed, ask })),
      [{ hosts: [], prefixes: [''], ask: false }],
    );
  }
  for (const no of ['\r', 'n\r', 'yesterday\r', '\u0003']) {
    const { code, ran, out } = await play(no);
    assert.deepEqual([code, ran, out], [1, [], 'nothing was started\n'], no);
  }
  for (const nobody of [undefined, ''])
    await assert.rejects(play(nobody), (error) => error instanceof ConfigError && /--any for all/.test(error.message));
});

test('who may be booted was said: nobody is asked, and no more than that is allowed', async () => {
  const { code, asked, ran } = await play('', { run: { ask: false, allowed: { hosts: [], prefixes: ['52:54'] } } });
  assert.deepEqual([code, asked, ran[0]?.allowed.prefixes], [0, [], ['52:54']]);
});

test('the exit status says whether all that were answered were read', async () => {
  const given = { ask: false };
  const failed: InventoryRunEnd['failed'] = [['52:54:00:00:00:01' as Mac, 'no agent']];
  const rows: [InventoryRunEnd | Error, number, RegExp][] = [
    [{ read: ['a'], failed: [] }, 0, /1 machine in \/o\/hosts\.json: a\n/],
    [{ read: ['a'], failed }, 1, /warning: 52:54:00:00:00:01 was answered and not read: no agent\n/],
    [{ read: [], failed: [] }, 1, /no machine was read\n/],
    [Object.assign(new Error('x: taken'), { name: 'PortTaken' }), 3, /error: x: taken\n/],
    [Object.assign(new Error('installer: no'), { name: 'NixError' }), 2, /error: installer: no\n/],
  ];
  for (const [end, code, said] of rows) {
    const result = await play('', { run: given, end });
    assert.equal(result.code, code);
    assert.match(result.out, said);
  }
  const json = await play('', { run: { ...given, json: true } });
  assert.equal(JSON.parse(json.out.trim()).event, 'notice');
});
