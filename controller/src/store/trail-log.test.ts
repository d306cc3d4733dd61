import assert from 'node:assert/strict';
import test from 'node:test';
import type { Entry } from '../doctor/trail.ts';
import { entryLine, readTrailLog, runLine } from './trail-log.ts';

const at = Date.UTC(2026, 0, 1);
const entry: Entry = {
  ...{ kind: 'tftp-stopped', attempt: 1, first: at, last: at + 5000, count: 2, why: 'gave-up', detail: 'snponly.efi' },
  ...{ done: 0, total: 120, blockSize: 1468, again: 9, interface: 'eth0' },
};
const text = (...lines: object[]) => lines.map((line) => `${JSON.stringify(line)}\n`).join('');
const stage = (seconds: number, name: string, more = {}) => ({
  ...{ at: new Date(at + seconds * 1000).toISOString(), host: 'web1', happening: 'begin', stage: name, ...more },
});

test('entries and stages are read as they were written; the newest word on an entry counts', () => {
  const { trails, last } = readTrailLog([
    text(runLine(at), stage(1, 'waking'), entryLine('web1', { ...entry, count: 1, last: at })),
    text(
      entryLine('web1', entry),
      stage(9, 'failed', { reason: 'no', address: '10.0.0.7' }),
      entryLine(undefined, { ...entry, mac: 'm' }),
    ),
  ]);
  assert.equal(last, at + 9000);
  assert.deepEqual([...trails.keys()], ['web1']);
  const trail = trails.get('web1')!;
  assert.deepEqual(trail.entries, [entry]);
  assert.deepEqual(trail.around, [{ ...entry, mac: 'm' }]);
  assert.deepEqual(trail.stages, [
    { stage: 'waking', at: at + 1000 },
    { stage: 'failed', at: at + 9000, reason: 'no', address: '10.0.0.7' },
  ]);
});

test('of earlier runs nothing is left; an address that became known is no new stage', () => {
  const { trails } = readTrailLog([
    text(
      runLine(at),
      stage(1, 'failed'),
      entryLine('web1', entry),
      runLine(at + 10_000),
      stage(20, 'registered'),
      stage(30, 'registered', { address: 'a' }),
    ),
  ]);
  assert.deepEqual(trails.get('web1'), {
    host: 'web1',
    stages: [{ stage: 'registered', at: at + 20_000, address: 'a' }],
    entries: [],
    around: [],
  });
});

test('what nobody wrote here is passed over', () => {
  const odd = [
    '',
    'null',
    '{"at":"never","host":"web1","stage":"waking"}',
    '{"at":"2026-01-01T00:00:00.000Z","host":7,"stage":"waking"}',
    '{"at":"2026-01-01T00:00:00.000Z","host":"web2","stage":"flying","trail":{"kind":"x"}}',
    '{"at":"2026-01-01T00:00:00.000Z","host":"web2","trail":{"kind":"tftp-sent","attempt":-1,"first":0,"last":0,"count":1}}',
    '{"at":"2026-01-01T00:00:00.000Z","host":"web2","trail":{"kind":"tftp-sent","attempt":1,"first":1e300,"last":0,"count":1}}',
    '{"at":"2026-01-01T00:00:00.000Z","ho',
  ].join('\n');
  const { trails } = readTrailLog([odd]);
  assert.deepEqual([...trails.values()], [{ host: 'web2', stages: [], entries: [], around: [] }]);
});
