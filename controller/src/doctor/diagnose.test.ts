// A boot in which all goes well has no findings at any of its steps, nor when somebody asks a moment too early.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Stage } from '../machine/stage.ts';
import { diagnose, steps } from './diagnose.ts';
import type { Note } from './trail.ts';
import { TrailBook } from './trail-book.ts';

type Step = { readonly after: number; readonly stage: Stage } | ({ readonly after: number } & Note);
const asked = (client: 'pxe' | 'ipxe' | 'system', over: Partial<Note> = {}): Note => ({
  kind: 'dhcp-answered',
  asked: 'DISCOVER',
  port: 67,
  why: 'proxy offer',
  client,
  ...over,
});
const elsewhere = {
  kind: 'dhcp-silent',
  asked: 'REQUEST',
  why: 'another server was chosen',
  server: '10.0.0.2',
} as const;

/** UEFI beside a foreign server, seconds between the steps as measured in the lab. */
const boot: readonly Step[] = [
  { after: 0, stage: 'planned' },
  { after: 30, stage: 'probing' },
  { after: 10, stage: 'waking' },
  { after: 40, ...asked('pxe') },
  { after: 0, stage: 'firmware' },
  { after: 0, kind: 'other-offer', why: 'address', server: '10.0.0.2 (52:54:00:00:00:02)' },
  { after: 4, ...asked('pxe', elsewhere) },
  { after: 0, ...asked('pxe', { asked: 'REQUEST', port: 4011, why: 'boot server answer', detail: 'snponly.efi' }) },
  { after: 1, kind: 'tftp-started', detail: 'snponly.efi' },
  { after: 0, kind: 'tftp-probed', detail: 'snponly.efi' },
  { after: 0, kind: 'tftp-started', detail: 'snponly.efi' },
  { after: 1, kind: 'tftp-sent', detail: 'snponly.efi', done: 120, total: 120, blockSize: 1468, again: 0 },
  { after: 3, ...asked('ipxe') },
  { after: 3, ...asked('ipxe', elsewhere) },
  { after: 16, kind: 'http-script' },
  { after: 0, stage: 'loading' },
  { after: 1, kind: 'file-sending', detail: 'kernel', done: 1, total: 10 },
  { after: 2, kind: 'file-sent', detail: 'kernel', done: 10, total: 10 },
  { after: 5, kind: 'file-sending', detail: 'initrd', done: 5, total: 10 },
  { after: 9, kind: 'file-sent', detail: 'initrd', done: 10, total: 10 },
  { after: 60, ...asked('system', { kind: 'dhcp-silent', why: 'only an address wanted' }) },
  { after: 1, ...asked('system', elsewhere) },
  { after: 20, kind: 'agent-registered' },
  { after: 0, stage: 'registered' },
  { after: 0, kind: 'agent-up' },
  { after: 2, stage: 'preflight' },
  { after: 2, stage: 'disko' },
  { after: 30, stage: 'copy' },
  { after: 600, stage: 'install' },
  { after: 200, stage: 'rebooting' },
  { after: 2, kind: 'agent-down', detail: 'closed' },
  { after: 1, stage: 'proving' },
  { after: 100, ...asked('system', elsewhere) },
  { after: 60, stage: 'proved' },
];

test('a good boot has no findings at any moment', () => {
  const clock = { now: Date.UTC(2026, 0, 1) };
  const book = new TrailBook({ now: () => clock.now });
  const reached: string[] = [];
  for (const [index, step] of boot.entries()) {
    clock.now += step.after * 1000;
    if ('stage' in step) book.stage('m1', step.stage);
    else {
      const { after: _, ...note } = step;
      book.note('m1', note);
    }
    // Right after it, and right before the next one.
    const next = (boot[index + 1]?.after ?? 0) * 1000;
    for (const later of [0, Math.max(0, next - 1)]) {
      const told = diagnose(book.of('m1'), clock.now + later);
      assert.deepEqual(told.findings, [], `step ${index}, ${later} ms later`);
      if (reached.at(-1) !== told.reached) reached.push(told.reached);
      assert.equal(told.boots, index < 3 ? 0 : 1);
    }
  }
  assert.deepEqual(reached, [...steps]);
});

test('boots whose agent came are no loop, however often the operator had the machine begin anew', () => {
  let now = Date.UTC(2026, 10, 20, 6);
  const book = new TrailBook({ now: () => now });
  const untilAgent = boot.slice(
    0,
    boot.findIndex((step) => 'stage' in step && step.stage === 'preflight'),
  );
  for (let time = 1; time <= 4; time++) {
    for (const { after, ...step } of untilAgent) {
      now += after * 1000;
      if ('stage' in step) book.stage('web1', step.stage);
      else book.note('web1', step);
      const ids = diagnose(book.of('web1'), now).findings.map(({ id }) => id);
      assert.deepEqual(ids, [], `boot ${time}, ${JSON.stringify(step)}`);
    }
    now += 300_000;
    book.stage('web1', 'failed', { reason: 'disko: a disk gave out' });
  }
});

test('of a machine of which nothing is known nothing is found', () => {
  assert.deepEqual(diagnose({ host: 'm1', stages: [], entries: [], around: [] }, 0), {
    host: 'm1',
    reached: 'nothing heard of it',
    boots: 0,
    findings: [],
  });
});

test('evidence has times, counts and words, in order', () => {
  const clock = { now: Date.UTC(2026, 0, 1) };
  const book = new TrailBook({ now: () => clock.now });
  book.stage('m1', 'firmware');
  for (let count = 0; count < 3; count++) {
    clock.now += 4000;
    book.note('m1', asked('pxe', { detail: 'snponly.efi' }));
  }
  book.around({ kind: 'listening', interface: 'eth0', why: 'no', detail: 'not permitted' });
  const [finding] = diagnose(book.of('m1'), clock.now).findings;
  assert.equal(finding!.id, 'no-address');
  assert.match(
    finding!.says,
    /^it asked 3 times and took no address: nobody was heard.*could not be heard here \(not permitted\)$/,
  );
  assert.deepEqual(finding!.evidence, [
    {
      at: '2026-01-01T00:00:04.000Z',
      until: '2026-01-01T00:00:12.000Z',
      count: 3,
      text: 'DISCOVER of firmware, answered: proxy offer: snponly.efi',
    },
  ]);
});

test('an agent of an earlier life of the controller that is refused is told, though nothing came before', () => {
  const book = new TrailBook({ now: () => 0 });
  book.stage('m1', 'waking');
  book.note('m1', { kind: 'agent-refused', why: 'denied', detail: 'this boot was never registered' });
  const [finding] = diagnose(book.of('m1'), 0).findings;
  assert.deepEqual(
    [finding!.id, finding!.says],
    ['agent-refused', 'its agent was refused once: this boot was never registered'],
  );
});

test('a build that fails while its machine boots is the cause, whatever was or was not heard of it', () => {
  for (const stage of ['waking', 'loading', 'registered'] as const) {
    let now = 0;
    const book = new TrailBook({ now: () => now });
    book.stage('m1', stage);
    now = 300_000;
    book.stage('m1', 'failed', { reason: "its build has failed: builder for 'x' failed" });
    const { findings } = diagnose(book.of('m1'), 300_000);
    assert.deepEqual(
      findings.map(({ id }) => id),
      ['not-built'],
    );
  }
});
