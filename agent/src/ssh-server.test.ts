import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { awaitSshServer, listens } from './ssh-server.ts';

const heading =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     \n';
const row = (local: string, state: string) =>
  `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000     0        0 12093 1 0000000000000000 100 0 0 10 0\n`;

test('a listening socket on port 22 counts, on any address; a connection from or to it does not', () => {
  assert.ok(listens(heading + row('00000000:0016', '0A'), 22));
  assert.ok(listens(heading + row('00000000000000000000000000000000:0016', '0A'), 22));
  assert.ok(!listens(heading + row('0101A8C0:0016', '01'), 22));
  assert.ok(!listens(heading + row('00000000:1600', '0A'), 22));
  assert.ok(!listens(heading, 22));
  assert.ok(!listens('', 22));
});

test('it is waited for, and not for ever', async () => {
  const root = mkdtempSync(join(tmpdir(), 'nixie-ssh-server-'));
  let ticks = 0;
  const clock = {
    now: () => ticks,
    ticks: () => ticks,
    random: () => 0,
    sleep: async (ms: number) => {
      ticks += ms;
      if (ticks === 500) writeFileSync(join(root, 'proc/net/tcp6'), heading + row(`${'0'.repeat(32)}:0016`, '0A'));
    },
  };
  try {
    assert.ok(await awaitSshServer(root, clock, 1000), 'nothing to look at: nothing to wait for');
    mkdirSync(join(root, 'proc/net'), { recursive: true });
    writeFileSync(join(root, 'proc/net/tcp'), heading);
    assert.ok(await awaitSshServer(root, clock, 1000));
    assert.equal(ticks, 500);
    writeFileSync(join(root, 'proc/net/tcp6'), heading);
    ticks = 1000;
    assert.ok(!(await awaitSshServer(root, clock, 1000)));
    assert.equal(ticks, 2000);
  } finally {
    rmSync(root, { recursive: true });
  }
});
