import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { runPrefix } from './folders.ts';
import { removeLeftovers } from './leftovers.ts';

test('ends what lives in the folders of a killed run of this state folder, and nothing else', (t) => {
  const base = mkdtempSync(join(tmpdir(), 'nixie-leftovers-'));
  t.after(() => rmSync(base, { recursive: true, force: true }));
  const place = join(base, 'shm');
  const proc = join(base, 'proc');
  const fallback = join(base, 'state/run');
  const stale = join(place, `${runPrefix(fallback)}aaaaaa`);
  const other = join(place, `${runPrefix('/another/state/run')}bbbbbb`);
  for (const each of [stale, other, join(fallback, 'run-cccccc'), join(place, 'unrelated')])
    mkdirSync(each, { recursive: true });
  const process = (pid: number, environ: string) => {
    mkdirSync(join(proc, String(pid)), { recursive: true });
    writeFileSync(join(proc, String(pid), 'environ'), environ);
  };
  process(100, `PATH=/bin\0HOME=${stale}/home\0`);
  process(101, `TMPDIR=${stale}/tmp\0`);
  process(102, `HOME=${other}/home\0`);
  process(103, `NOTE=HOME=${stale}/home\0`);
  process(104, `HOME=${stale}x/home\0`);
  mkdirSync(join(proc, 'self'));
  const killed: [number, string][] = [];
  const found = removeLeftovers(fallback, {
    places: [place],
    proc,
    kill: (pid, signal) => void killed.push([pid, signal]),
  });
  assert.deepEqual(found, { folders: 2, processes: 2 });
  assert.deepEqual(killed, [
    [100, 'SIGKILL'],
    [101, 'SIGKILL'],
  ]);
  assert.deepEqual([stale, other, join(place, 'unrelated')].map(existsSync), [false, true, true]);
  assert.deepEqual(removeLeftovers(fallback, { places: [place], proc, kill: () => assert.fail() }), {
    folders: 0,
    processes: 0,
  });
});
