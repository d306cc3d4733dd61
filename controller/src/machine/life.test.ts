import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { advance, type Happening, halfWritten, type Life, marked, moves, newLife, offerIn } from './life.ts';
import type { Mac } from './mac.ts';
import { ends, isEnd, type Stage, waySteps } from './stage.ts';

const registered: Happening = {
  kind: 'agent-registered',
  mac: '52:54:00:00:00:01' as Mac,
  address: '10.0.0.9',
  sshHostKey: 'ssh-ed25519 A',
  bootId: 'b1',
};
const happenings: Happening[] = [
  { kind: 'begin' },
  { kind: 'reboot-marked' },
  { kind: 'found-proved', address: '10.0.0.9' },
  { kind: 'found-doubtful', reason: 'another key' },
  { kind: 'found-nobody' },
  { kind: 'firmware-asked' },
  { kind: 'script-fetched' },
  registered,
  { kind: 'inspecting' },
  { kind: 'disks-free' },
  { kind: 'disks-refused', reason: 'data' },
  { kind: 'disko-ended' },
  { kind: 'install-began' },
  { kind: 'install-ended' },
  { kind: 'reboot-ordered' },
  { kind: 'proof-given', address: '10.0.0.9', hostKey: 'ssh-ed25519 B' },
  { kind: 'proof-impossible', reason: 'no key', address: '10.0.0.9' },
  { kind: 'failed', reason: 'x' },
  { kind: 'stuck', reason: 'held' },
  { kind: 'cancelled', reason: 'x' },
  { kind: 'retry' },
  { kind: 'waited-too-long' },
];

function walk(...kinds: Happening['kind'][]): Life {
  let life = newLife('m1', 0);
  kinds.forEach((kind, index) => {
    const result = advance(life, happenings.find((each) => each.kind === kind)!, index + 1);
    assert.ok(result.moved, `${kind} in ${life.stage}: ${result.moved ? '' : result.sentence}`);
    life = result.life;
  });
  return life;
}

const toInstall = [
  'begin',
  'found-nobody',
  'firmware-asked',
  'script-fetched',
  'agent-registered',
  'inspecting',
  'disks-free',
  'disko-ended',
] as const;

test('a blank machine goes from planned to proved', () => {
  const life = walk(...toInstall, 'install-began', 'install-ended', 'reboot-ordered', 'proof-given');
  assert.equal(life.stage, 'proved');
  assert.equal(life.provedKey, 'ssh-ed25519 B');
  for (const stage of ['waking', 'disko', 'copy', 'install', 'rebooting', 'proving'] as const)
    assert.equal(life.spent[stage], 1, stage);
});

test('every happening in every stage has a defined answer, and a refusal has a sentence', () => {
  for (const stage of [...waySteps, ...ends] as Stage[])
    for (const happening of happenings) {
      const result = advance({ ...newLife('m1', 0), stage }, happening, 5);
      if (result.moved) assert.ok(([...waySteps, ...ends] as string[]).includes(result.life.stage));
      else assert.match(result.sentence, /m1/);
    }
});

test('from every stage on the way an end can be reached, and waiting too long is one with a reason', () => {
  for (const stage of waySteps) {
    const result = advance({ ...newLife('m1', 0), stage }, { kind: 'waited-too-long' }, 5);
    const afresh = stage === 'disko' || stage === 'copy' || stage === 'install';
    assert.ok(
      result.moved &&
        result.life.stage === (afresh ? 'restarting' : 'failed') &&
        (result.life.reason ?? '').length > 10,
      stage,
    );
    assert.ok(Object.keys(moves[stage]).length > 0, stage);
  }
});

test('from the reboot mark on the installer is never offered again, whatever happens, a retry included', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...happenings), { maxLength: 60 }), (story) => {
      let life = walk(...toInstall, 'install-began', 'install-ended');
      for (const happening of story) {
        const result = advance(life, happening, life.since + 1);
        if (result.moved) life = result.life;
        assert.notEqual(offerIn(life.stage), 'installer');
      }
    }),
  );
});

test('disks are judged before every disko: nothing reaches disko but disks-free out of preflight', () => {
  for (const stage of waySteps)
    for (const happening of happenings) {
      const result = advance({ ...newLife('m1', 0), stage }, happening, 5);
      if (result.moved && result.life.stage === 'disko' && stage !== 'disko')
        assert.deepEqual([stage, happening.kind], ['preflight', 'disks-free']);
    }
});

test('a machine that starts anew in the middle of its install is looked at again once, then given up', () => {
  let life = walk(...toInstall);
  let again = advance(life, { ...registered, bootId: 'b2' }, 20);
  assert.ok(again.moved && again.life.stage === 'registered' && again.life.bootId === 'b2');
  life = again.life;
  for (const kind of ['inspecting', 'disks-free'] as const) {
    again = advance(life, { kind }, 30);
    assert.ok(again.moved);
    life = again.life;
  }
  again = advance(life, { ...registered, bootId: 'b3' }, 40);
  assert.ok(again.moved && again.life.stage === 'failed');
});

test('what is stuck is booted afresh, once; a deadline in the middle of the install is the same', () => {
  for (const happening of [{ kind: 'stuck', reason: 'held' }, { kind: 'waited-too-long' }] as const) {
    const stuck = advance(walk(...toInstall), happening, 20);
    assert.ok(stuck.moved && stuck.life.stage === 'restarting' && offerIn(stuck.life.stage) === 'installer');
    assert.ok(halfWritten(stuck.life) && !marked(stuck.life) && stuck.life.reason !== undefined);
    let { life } = stuck;
    for (const next of [
      { kind: 'firmware-asked' },
      { kind: 'script-fetched' },
      { ...registered, bootId: 'b2' },
      { kind: 'inspecting' },
      { kind: 'disks-free' },
    ] as const) {
      const moved = advance(life, next, 30);
      assert.ok(moved.moved);
      life = moved.life;
    }
    assert.deepEqual([life.stage, life.restarts, life.reason], ['disko', 1, undefined]);
    const again = advance(life, happening, 40);
    assert.ok(again.moved && again.life.stage === 'failed');
  }
  const gone = advance(walk(...toInstall, 'stuck'), { kind: 'waited-too-long' }, 20);
  assert.ok(gone.moved && gone.life.stage === 'failed');
  assert.match(gone.life.reason ?? '', /^held; then its installer/);
});

test('an ended machine takes only a retry, and only when it failed or was refused', () => {
  for (const stage of ends)
    for (const happening of happenings) {
      const result = advance({ ...newLife('m1', 0), stage }, happening, 5);
      assert.equal(
        result.moved,
        happening.kind === 'retry' && (stage === 'failed' || stage === 'refused'),
        `${stage} ${happening.kind}`,
      );
    }
  for (const stage of ends) assert.equal(isEnd(stage), true);
});

test('a retry begins anew, but what is installed is only proved again', () => {
  const failed = advance(walk(...toInstall), { kind: 'failed', reason: 'x' }, 20);
  assert.ok(failed.moved && halfWritten(failed.life) && !marked(failed.life));
  const again = advance(failed.life, { kind: 'retry' }, 30);
  assert.ok(again.moved && again.life.stage === 'waking' && again.life.restarts === 0 && !halfWritten(again.life));
  const installed = advance(walk(...toInstall, 'install-began', 'install-ended'), { kind: 'failed', reason: 'x' }, 20);
  assert.ok(installed.moved && marked(installed.life) && !halfWritten(installed.life));
  const proving = advance(installed.life, { kind: 'retry' }, 30);
  assert.ok(proving.moved && proving.life.stage === 'proving' && proving.life.address === '10.0.0.9');
});

test('a run that was cut off between the reboot and the proof goes on there', () => {
  const life = walk('reboot-marked');
  assert.equal(life.stage, 'rebooting');
  assert.equal(offerIn(life.stage), 'local');
});

test('one of which nobody has found out whether it is up is looked for first, also in a retry', () => {
  for (const way of [[], ['begin']] as const) {
    const failed = advance(walk(...way), { kind: 'failed', reason: 'its relay did not say' }, 20);
    const again = failed.moved ? advance(failed.life, { kind: 'retry' }, 30) : failed;
    assert.ok(again.moved && again.life.stage === 'probing', way.join());
    assert.equal(offerIn(again.life.stage), 'silent');
  }
});
