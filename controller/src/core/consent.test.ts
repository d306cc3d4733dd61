// Consent to the loss of data, over lives of services and runs that share a state folder.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import type { Host } from '../machine/host.ts';
import type { Mac } from '../machine/mac.ts';
import { openConsents } from '../store/consents.ts';
import { Consent } from './consent.ts';

const [a, b, c] = ['52:54:00:00:00:01', '52:54:00:00:00:02', '52:54:00:00:00:03'] as Mac[];
const host = (wipe: boolean, ...macs: (Mac | undefined)[]): Host => ({
  name: 'web1',
  flakeAttr: 'web1',
  macs: macs.length === 0 ? [a!] : (macs as Mac[]),
  system: 'x86_64-linux',
  tags: [],
  boot: [],
  expectDisks: [],
  wipe,
});
const wiped = host(true);
const kept = host(false);

function scene(t: { after(call: () => void): void }) {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-consent-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const state = join(folder, 'consents');
  const warnings: string[] = [];
  const life = (endless: boolean, hosts: readonly Host[], reinstall: readonly string[]) => {
    const consent = new Consent({
      consents: openConsents(state),
      reinstall: new Set(reinstall),
      endless,
      warn: (text) => void warnings.push(text),
    });
    if (endless) consent.settle(hosts);
    return consent;
  };
  return {
    state,
    warnings,
    /** Of a service that begins with this host. */
    serve: (each: Host, ...reinstall: string[]) => life(true, [each], reinstall),
    run: (...reinstall: string[]) => life(false, [], reinstall),
  };
}

test('an install uses it up, in this service and in the next ones', (t) => {
  const { serve } = scene(t);
  const first = serve(wiped);
  assert.deepEqual([first.mayLoseData(wiped), first.isUsedUp(wiped)], [true, false]);
  first.use(wiped);
  for (const service of [first, serve(wiped), serve(wiped)])
    assert.deepEqual([service.mayLoseData(wiped), service.isUsedUp(wiped)], [false, true]);
});

test('without consent nothing may be lost, and nothing is used up or written', (t) => {
  const { serve, run, state } = scene(t);
  for (const consent of [serve(kept), run()]) {
    consent.use(kept);
    assert.deepEqual([consent.mayLoseData(kept), consent.isUsedUp(kept)], [false, false]);
  }
  assert.equal(serve(wiped).mayLoseData(wiped), true);
  assert.throws(() => readdirSync(state));
});

test('taken out of the hosts file and put in again it counts once more, while the service runs or over a restart', (t) => {
  const { serve } = scene(t);
  const first = serve(wiped);
  first.use(wiped);
  first.settle([kept]);
  assert.equal(first.isUsedUp(kept), false);
  first.settle([wiped]);
  assert.equal(first.mayLoseData(wiped), true);
  first.use(wiped);
  assert.equal(serve(kept).mayLoseData(kept), false);
  assert.equal(serve(wiped).mayLoseData(wiped), true);
});

test('a host that leaves and comes back, and any other change of its entry, gives nothing anew', (t) => {
  const { serve } = scene(t);
  const service = serve(wiped);
  service.use(wiped);
  service.settle([]);
  service.settle([{ ...wiped, tags: ['x'], flakeAttr: 'other' }]);
  assert.equal(service.mayLoseData(wiped), false);
  assert.equal(serve({ ...wiped, boot: ['x'] }).mayLoseData(wiped), false);
});

test('another machine under the same name has a consent of its own; one whose cards are exchanged one by one is the same', (t) => {
  const { serve } = scene(t);
  const service = serve(wiped);
  service.use(wiped);
  for (const same of [host(true, a, b), host(true, b), host(true, b, c)]) {
    service.settle([same]);
    assert.equal(service.mayLoseData(same), false, same.macs.join());
  }
  assert.equal(serve(host(true, c)).mayLoseData(host(true, c)), false);
  const other = host(true, '52:54:00:00:00:09' as Mac);
  assert.equal(serve(other).mayLoseData(other), true);
});

test('the option is another consent, and used up like it: a service that is started anew has it still', (t) => {
  const { serve } = scene(t);
  serve(wiped).use(wiped);
  const asked = serve(wiped, 'web1');
  assert.equal(asked.mayLoseData(wiped), true);
  asked.use(wiped);
  const again = serve(wiped, 'web1');
  assert.deepEqual([again.mayLoseData(wiped), again.isUsedUp(wiped)], [false, true]);
  assert.equal(serve(wiped).mayLoseData(wiped), false);
  assert.equal(serve(wiped, 'web1').mayLoseData(wiped), true, 'it was not given in between');
});

test('a retry renews it, until the next install', (t) => {
  const { serve } = scene(t);
  const service = serve(wiped);
  service.renew('web1');
  service.use(wiped);
  service.renew('web1');
  assert.equal(service.mayLoseData(wiped), true);
  assert.equal(serve(wiped).mayLoseData(wiped), true);
  service.use(wiped);
  assert.equal(serve(wiped).mayLoseData(wiped), false);
});

test('a run with an end takes its options and hosts file at their word; a service knows of what it installed', (t) => {
  const { serve, run } = scene(t);
  serve(wiped).use(wiped);
  const once = run('web1');
  assert.equal(once.mayLoseData(wiped), true);
  once.use(kept);
  assert.equal(once.mayLoseData(kept), false, 'once in a run');
  assert.equal(run('web1').mayLoseData(wiped), true);
  assert.equal(serve(wiped, 'web1').mayLoseData(wiped), false, 'neither of both');
});

test('with its state lost a service has what is written; a file that is damaged forbids', (t) => {
  const { serve, state } = scene(t);
  serve(wiped).use(wiped);
  const file = join(state, 'web1.json');
  for (const garbage of ['', '{', 'null', '{"kinds":"wipe"}', '{"kinds":["x"]}', '{"kinds":[],"macs":["x"]}']) {
    writeFileSync(file, garbage);
    assert.equal(serve(wiped).mayLoseData(wiped), false, garbage);
  }
  rmSync(state, { recursive: true });
  assert.equal(serve(wiped).mayLoseData(wiped), true);
  assert.equal(serve(kept).mayLoseData(kept), false);
});

test('what can not be written holds in this service, and the operator hears what that means for the next', (t) => {
  const { serve, state, warnings } = scene(t);
  writeFileSync(state, 'no folder');
  const service = serve(wiped);
  service.use(wiped);
  assert.equal(service.mayLoseData(wiped), false);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!, /used up: .*; a service that is started anew takes it for unused: take "wipe" out/);
});
