// Makes each cause of the doctor's list happen, and asks the doctor.
import assert from 'node:assert/strict';
import test from 'node:test';
import { type CauseId, causes } from './doctor/causes.ts';
import { diagnose } from './doctor/diagnose.ts';
import { firmwareCases } from './doctor-cases-firmware.ts';
import { installerCases } from './doctor-cases-installer.ts';
import { type Case, host, Lab } from './doctor-lab.ts';
import { readTrailLog } from './store/trail-log.ts';

const cases: Readonly<Record<CauseId, Case>> = { ...firmwareCases, ...installerCases };

for (const id of Object.keys(causes) as CauseId[])
  test(`${id}: ${causes[id].symptom}`, { timeout: 20_000 }, async (t) => {
    const { setting = {}, make, beside = false } = cases[id];
    const lab = new Lab(t, setting);
    await make(lab);
    const told = diagnose(lab.trails.of(host), lab.now);
    const ids = told.findings.map((finding) => finding.id);
    if (beside) assert.ok(ids.includes(id), ids.join(', '));
    else assert.equal(ids[0], id, JSON.stringify(told, undefined, 1));
    const finding = told.findings.find((each) => each.id === id)!;
    assert.ok(finding.evidence.length > 0 && finding.says !== '' && !finding.says.includes('undefined'), finding.says);
    // The journal of the run says the same to a later doctor.
    const later = readTrailLog([`${lab.journal.join('\n')}\n`]).trails.get(host);
    assert.ok(later);
    assert.ok(
      diagnose(later, lab.now).findings.some((each) => each.id === id),
      JSON.stringify(later, undefined, 1),
    );
  });

test('what is known beyond the reason of a machine that failed is told', (t) => {
  const reason = 'its firmware asked but never fetched its boot script';
  const lab = new Lab(t, { mode: 'proxy' }).stage('firmware').asks('DISCOVER', 'uefi').asks('DISCOVER', 'uefi');
  lab.stage('failed', reason);
  assert.match(
    lab.trails.advice(host)!,
    /^it asked 2 times and took no address.*; likely cause: no DHCP server.*; try: /,
  );
});

test('the reason itself is not said twice', (t) => {
  const own = new Lab(t, {}).stage('disko').stage('failed', 'the disko script failed (status 1)');
  assert.equal(own.trails.advice(host), undefined);
});
