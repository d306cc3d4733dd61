import assert from 'node:assert/strict';
import test from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import type { HardwareReport } from '@nixie/proto/agent';
import { Inventory } from '@nixie/proto/inventory';
import { type HardwareParts, HardwareReports, mostReportBytes } from './hardware-report.ts';
import type { Clock } from './host.ts';

/** Time passes when `pass` says so. */
function fakeClock(): { clock: Clock; pass(ms: number): Promise<void> } {
  let at = 0;
  const waiting = new Set<{ until: number; wake: () => void }>();
  const clock: Clock = {
    now: () => at,
    ticks: () => at,
    random: () => 0.5,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve();
        const entry = { until: at + ms, wake: resolve };
        waiting.add(entry);
        signal?.addEventListener('abort', () => {
          waiting.delete(entry);
          resolve();
        });
      }),
  };
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn += 1) await setImmediate();
  };
  return {
    clock,
    async pass(ms) {
      await settle();
      at += ms;
      for (const entry of [...waiting])
        if (entry.until <= at) {
          waiting.delete(entry);
          entry.wake();
        }
      await settle();
    },
  };
}

function parts(clock: Clock, said: string[], over: Partial<HardwareParts> = {}): HardwareParts {
  return {
    collect: async () => Inventory.fromPartial({ schemaVersion: 1, depth: 'full', nics: [{ name: 'eth0' }] }),
    neighbours: async () => new Map(),
    smbios: async () => Buffer.from('table'),
    facter: async () => ({ json: Buffer.from('{"version":1}') }),
    gathered: () => {},
    clock,
    log: { info: (text) => void said.push(text) },
    signal: new AbortController().signal,
    ...over,
  };
}

const kinds = (reports: readonly HardwareReport[]) => reports.map(({ content }) => content?.$case);

test('a session is told all parts once, a later session again, and a cable that speaks late once more', async () => {
  const { clock, pass } = fakeClock();
  const said: string[] = [];
  const neighbour = { systemName: 'switch1', managementAddresses: [], capabilities: [], vlans: [] };
  const reports = new HardwareReports(parts(clock, said, { neighbours: async () => new Map([['eth0', [neighbour]]]) }));
  const first: HardwareReport[] = [];
  reports.carry((report) => first.push(report) > 0);
  assert.equal(first.length, 0);
  await pass(1500);
  assert.deepEqual(kinds(first), ['inventory', 'smbiosGzip', 'facter']);
  const facter = first[2]!.content;
  assert.ok(facter?.$case === 'facter');
  assert.equal(gunzipSync(facter.value.jsonGzip).toString(), '{"version":1}');
  assert.equal(facter.value.jsonBytes, 13n);

  reports.carry(undefined);
  const second: HardwareReport[] = [];
  reports.carry((report) => second.push(report) > 0);
  await pass(1000);
  assert.deepEqual(kinds(second), []);
  await pass(4000);
  assert.deepEqual(kinds(second), ['inventory', 'smbiosGzip', 'facter']);
  await pass(30_000);
  assert.deepEqual(kinds(second).slice(3), ['inventory']);
  const heard = second[3]!.content;
  assert.ok(heard?.$case === 'inventory');
  assert.equal(heard.value.nics[0]!.lldp[0]!.systemName, 'switch1');
  assert.equal(first.length, 3);
  assert.deepEqual(said, []);
});

test('a line that is full is waited for, what fails is said, and nothing is sent when nobody hears', async () => {
  const { clock, pass } = fakeClock();
  const said: string[] = [];
  let full = true;
  const got: HardwareReport[] = [];
  const reports = new HardwareReports(
    parts(clock, said, { smbios: async () => undefined, facter: async () => ({ why: 'status 1: needs root' }) }),
  );
  reports.carry((report) => {
    if (full) return false;
    got.push(report);
    return true;
  });
  await pass(1500);
  await pass(5000);
  assert.equal(got.length, 0);
  full = false;
  await pass(1000);
  assert.deepEqual(kinds(got), ['inventory', 'facterMissing']);
  assert.deepEqual(got[1]!.content, { $case: 'facterMissing', value: { why: 'status 1: needs root' } });
  assert.deepEqual(said, ['nixos-facter: status 1: needs root']);
  reports.carry(undefined);
  await pass(60_000);
  assert.equal(got.length, 2);
});

test('what the controller would not take is not sent', async () => {
  const { clock, pass } = fakeClock();
  const said: string[] = [];
  const got: HardwareReport[] = [];
  const noise = Buffer.alloc(mostReportBytes + 1);
  for (let at = 0; at < noise.length; at += 4)
    noise.writeUInt32LE((at * 2_654_435_761) >>> 0, Math.min(at, noise.length - 4));
  const huge = Inventory.fromPartial({ boot: { cmdline: noise.toString('latin1') } });
  const reports = new HardwareReports(
    parts(clock, said, { collect: async () => huge, facter: async () => ({ why: 'not-installed' }) }),
  );
  reports.carry((report) => got.push(report) > 0);
  await pass(1500);
  assert.deepEqual(kinds(got), ['smbiosGzip', 'facterMissing']);
  assert.match(said[0]!, /inventory has \d+ bytes, more than/);
});
