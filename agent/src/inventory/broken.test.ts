// One collector that breaks or hangs costs what it would have told, and nothing else.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import type { Inventory } from '@nixie/proto/inventory';
import { collectIdle, never } from './collect-idle.ts';
import { mostFacterBytes, runFacter } from './facter.ts';
import { server } from './fixtures/server.ts';
import { layTree } from './lay-tree.ts';
import { recordedSource } from './recorded.ts';
import type { Source } from './source.ts';

async function collect(change: (source: Source) => Partial<Source>): Promise<Inventory> {
  const { root, remove } = layTree(server);
  try {
    const whole = recordedSource(root);
    const source = { ...whole, ...change(whole) };
    return await collectIdle({ root, source, depth: 'full', sectionMs: 1200, slowMs: 1200, diskDeadlineMs: 1200 });
  } finally {
    remove();
  }
}
/** What of the sections is there. */
const parts = ({ system, cpu, memory, disks, nics, pci, numa, bmc, arrays }: Inventory): string =>
  Object.entries({
    system,
    cpu,
    memory,
    disks: disks[25],
    nics: nics[3],
    pci: pci[0],
    numa: numa[1],
    bmc,
    arrays: arrays[0],
  })
    .filter(([, part]) => part !== undefined)
    .map(([name]) => name)
    .join(' ');
const all = 'system cpu memory disks nics pci numa bmc arrays';

for (const [name, path, left] of [
  ['the PCI bus', '/sys/bus/pci/devices/0000:3b:00.0/class', all.replace('pci ', '')],
  ['the board', '/sys/class/dmi/id/product_name', all.replace('system ', '')],
  ['the nodes', '/sys/devices/system/node/node0/meminfo', all.replace('numa ', '')],
] as const)
  test(`a file that hangs: ${name}`, async () => {
    const hangs = (whole: Source): Partial<Source> => ({
      read: (at) => (at === path ? never : whole.read(at)),
      list: (at) => (at === path ? never : whole.list(at)),
    });
    const inventory = await collect(hangs);
    assert.equal(parts(inventory), left);
    assert.ok(inventory.errors.some(({ code }) => code === 'deadline'));
  });

test('programs that hang or print rubbish', async () => {
  const hung = await collect(() => ({ run: () => never }));
  assert.equal(parts(hung), all.replace('nics ', '').replace('bmc ', ''));
  assert.deepEqual(
    hung.errors.filter(({ code }) => code === 'deadline').map(({ section }) => section),
    ['bmc', 'health', 'nics'],
  );
  const rubbish = await collect(() => ({ run: async () => ({ code: 0, stdout: '{"lldp":[{"', stderr: '' }) }));
  assert.equal(parts(rubbish), all);
  assert.deepEqual(rubbish.errors, [{ section: 'nics', path: 'lldpcli', code: 'no-json' }]);
  assert.deepEqual(rubbish.nics[0]?.lldp, []);
});

test('a reader that throws what nobody expects', async () => {
  const inventory = await collect((whole) => ({
    list: (path) => {
      if (path === '/sys/bus/pci/devices') throw new RangeError('odd');
      return whole.list(path);
    },
    arch: () => {
      throw new TypeError('odd');
    },
  }));
  assert.equal(parts(inventory), all.replace('pci ', ''));
  assert.deepEqual(
    inventory.errors.filter(({ section }) => section === 'boot').map(({ code }) => code),
    ['TypeError'],
  );
});

test('the report of nixos-facter is passed on whole, or there is a reason', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-facter-test-'));
  try {
    const outcome = { stdout: '', stderr: '' };
    const writes = (text: string) => async (argv: readonly string[]) => {
      assert.deepEqual(argv.slice(0, 2), ['nixos-facter', '-o']);
      writeFileSync(argv[2]!, text);
      return { ...outcome, code: 0 };
    };
    const report = '{"version":1,"hardware":{"disk":[]}}\n';
    assert.deepEqual(await runFacter(folder, writes(report)), { json: Buffer.from(report) });
    for (const [run, why] of [
      [writes('loading modules…'), /no JSON object/],
      [writes('null'), /no JSON object/],
      [writes(`"${' '.repeat(mostFacterBytes)}"`), /bytes, more than/],
      [async () => ({ ...outcome, code: 0 }), /ENOENT/],
      [async () => ({ ...outcome, code: 1, stderr: 'x\nneeds root\n' }), /^status 1: needs root$/],
      [async () => ({ ...outcome, code: undefined, why: 'ENOENT' }), /^not-installed$/],
      [async () => ({ ...outcome, code: undefined, why: 'deadline' }), /^deadline$/],
    ] as const) {
      const result = await runFacter(folder, run);
      assert.match('why' in result ? result.why : 'a report', why);
    }
    assert.match(((await runFacter(join(folder, 'none'), writes(report))) as { why: string }).why, /ENOENT/);
    assert.deepEqual(readdirSync(folder), []);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
