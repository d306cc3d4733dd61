// For tests: how each cause happens from the loader to the proof: script, kernel, agent, disks, install, reboot.
import assert from 'node:assert/strict';
import { mac } from './answer/testing.ts';
import type { CauseId } from './doctor/causes.ts';
import { diagnose } from './doctor/diagnose.ts';
import { type Case, host, type Lab, proxy } from './doctor-lab.ts';

const agents = (lab: Lab, why: string) =>
  lab.trails.agents({
    onRegister: () => ({ refused: 'denied', why }),
    onSessionUp: () => undefined,
    onSessionDown: () => {},
  } as never);
const registers = (lab: Lab, why: string) => {
  agents(lab, why).onRegister({ mac } as never, { address: '10.77.0.120', port: 40_000 });
  return lab;
};

const relay = (lab: Lab, why: 'up' | 'away' | 'refused' | 'no-plan', detail: string) => {
  lab.stage('waking').after(5).trails.relay(host, why, detail);
  return lab;
};

/** iPXE with its script, and both files when `whole`. */
async function boots(lab: Lab, whole = true): Promise<Lab> {
  lab.stage('waking').asks('DISCOVER', 'ipxe').takesFromSite('ipxe').stage('loading');
  await lab.script();
  if (!whole) return lab;
  await lab.file('kernel');
  return await lab.file('initrd');
}

export const installerCases = {
  'ipxe-no-address': {
    setting: proxy,
    make: (lab) => lab.stage('firmware').asks('DISCOVER', 'ipxe').asks('DISCOVER', 'ipxe').after(20),
  },
  'script-not-fetched': {
    setting: proxy,
    make: (lab) => lab.stage('firmware').asks('DISCOVER', 'ipxe').takesFromSite('ipxe').after(20),
  },
  'script-refused': {
    setting: { ...proxy, offer: 'silent' },
    make: (lab) => lab.stage('firmware').script(),
  },
  'kernel-not-fetched': { setting: proxy, make: async (lab) => (await boots(lab, false)).after(20) },
  'file-unknown': { setting: proxy, make: async (lab) => (await boots(lab, false)).file('old-kernel') as Promise<Lab> },
  'download-cut': { setting: proxy, make: async (lab) => (await boots(lab, false)).beginning('large', () => {}) },
  'download-stalled': {
    setting: proxy,
    async make(lab) {
      const then = { id: '' };
      await (await boots(lab, false)).beginning('large', () => {
        then.id = diagnose(lab.trails.of(host), lab.now + 31_000).findings[0]?.id ?? '';
      });
      assert.equal(then.id, 'download-stalled');
      // Of the journal, too: without the end that the test made of it.
      lab.journal.splice(lab.journal.findIndex((line) => line.includes('file-cut')));
      const trail = lab.trails.of(host);
      const entries = trail.entries.filter(({ kind }) => kind !== 'file-cut');
      lab.trails.of = () => ({ ...trail, entries });
      return lab.after(31);
    },
  },
  'boot-loop': {
    setting: proxy,
    async make(lab) {
      for (let count = 0; count < 3; count++) (await boots(lab)).after(20);
      return lab;
    },
  },
  'agent-silent': { setting: proxy, make: async (lab) => (await boots(lab)).after(180) },
  'agent-cannot-reach': {
    setting: proxy,
    make: async (lab) => (await boots(lab)).asks('DISCOVER', 'system').takesFromSite('system').after(60),
  },
  'agent-refused': { setting: proxy, make: async (lab) => registers(await boots(lab), 'the token is expired') },
  'two-machines': {
    setting: proxy,
    make: async (lab) => registers(await boots(lab), `another machine claims ${mac} as well`),
  },
  'agent-lost': {
    make(lab) {
      lab.stage('registered');
      const core = agents(lab, '');
      core.onSessionUp(host, {} as never);
      lab.after(5);
      core.onSessionDown(host, 'no heartbeat for 20 s');
      return lab.after(30);
    },
  },
  'machine-refused': { make: (lab) => lab.stage('preflight').stage('refused', '/dev/vda holds data') },
  'relay-away': { make: (lab) => relay(lab, 'away', 'relay rack7 is not connected') },
  'relay-refused': { make: (lab) => relay(relay(lab, 'up', 'relay rack7'), 'refused', 'its token was revoked') },
  'relay-no-plan': { make: (lab) => relay(lab, 'no-plan', 'relay rack7 has not taken its plan') },
  'cache-unused': {
    make(lab) {
      lab.stage('registered').stage('preflight').stage('copy').stage('install');
      lab.trails.cacheUnused(host, '3 of 5 paths were pushed by ssh');
      return lab;
    },
  },
  'partitioning-failed': { make: (lab) => lab.stage('disko').stage('failed', 'the disko script failed (status 1)') },
  'copy-failed': { make: (lab) => lab.stage('copy').stage('failed', 'copying to 10.77.0.120 failed') },
  'install-failed': { make: (lab) => lab.stage('install').stage('failed', 'nixos-install failed (status 1)') },
  'network-before-disk': {
    setting: { ...proxy, offer: 'local' },
    make: (lab) => lab.stage('rebooting').stage('proving').asks('DISCOVER', 'uefi').after(60),
  },
  'not-back': { make: (lab) => lab.stage('rebooting').stage('proving').after(180) },
  'back-unproved': {
    setting: proxy,
    make: (lab) => lab.stage('rebooting').stage('proving').takesFromSite('system').after(120),
  },
  'not-provable': { make: (lab) => lab.stage('probing').stage('doubtful', 'it shows another host key') },
  cancelled: { make: (lab) => lab.stage('waking').stage('failed', 'cancelled by the operator') },
  failed: { make: (lab) => lab.stage('preflight').stage('failed', 'its agent did not report the disks in time') },
} satisfies Partial<Record<CauseId, Case>>;
