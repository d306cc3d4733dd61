// What can happen to a site behind `nixie relay`, with no route to the controller: its uplink is cut, its relay dies, its cache is full, the
// controller dies. The DHCP server there is a foreign one.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '../../lab/child.ts';
import type { Site } from '../../lab/relay/site.ts';
import { siteSubnets } from '../../lab/relay/site.ts';
import { warningsOf } from '../../lab/scenario.ts';
import { allProved, type Fault, machine1 } from '../fault.ts';
import type { Field } from '../field.ts';
import { controllerKilled } from './controller-killed.ts';

const cutMs = 60_000;
const lab: NonNullable<Fault['lab']> = {
  machines: [{ ...machine1, firmware: 'bios' }],
  site: 'apart',
  subnets: siteSubnets('rack7', false),
};

function siteOf(field: Field): Site {
  const { site } = field.scene.lab;
  if (site === undefined) throw new Error('the lab has no site');
  return site;
}

const moments = {
  waking: (field: Field) => field.reached('waking'),
  /** The initrd is in the cache, and on its way to the machine. */
  loading: async (field: Field) => {
    await field.reached('loading');
    const kept = (line: Record<string, unknown>) => line.what === 'kept' && Number(line.bytes) > 20_000_000;
    for (const end = Date.now() + 300_000; !siteOf(field).process.lines.some(kept); await sleep(50))
      if (Date.now() > end) throw new Error('the relay does not keep the initrd');
  },
  disko: (field: Field) => field.logged(/Formatting hard drive with disko/),
  copy: (field: Field) => field.copying(),
  install: (field: Field) => field.logged(/Installing NixOS/),
  proving: (field: Field) => field.reached('proving'),
} as const;

/** The installer was booted once: nothing that came to pass made it begin anew. */
function bootedOnce(field: Field): void {
  const registered = field.stages().filter(({ stage }) => stage === 'registered').length;
  assert.equal(registered, 1, 'the installer was booted once');
}

/** No failure was counted: none was told, and no phase was given up. */
function nothingFailed(field: Field): void {
  bootedOnce(field);
  const told = warningsOf(field.events());
  const others = told.filter(
    (text) => !/relay rack7 (?:is gone|is not connected|says nothing|was lost meanwhile)/.test(text),
  );
  assert.deepEqual(others, [], 'nothing else is told than that the relay was gone');
  assert.notDeepEqual(told, [], 'it is told that the relay was gone');
}

export function uplinkCut(stage: keyof typeof moments): Fault {
  return {
    name: `uplink-cut-${stage}`,
    what: 'uplink of a nixie relay cut for 60 s, nothing routed',
    where: stage,
    lab,
    async inject(field) {
      const site = siteOf(field);
      await moments[stage](field);
      await site.cut(true);
      field.struck();
      if (stage === 'loading') {
        // The machine comes up, as if nothing were: it is the cache and the plan of the relay that it boots by.
        const machine = field.machine();
        const up = () => machine.serial.some(({ text }) => text.includes('NIXIE-STAGE sshd'));
        for (const end = Date.now() + 5 * cutMs; Date.now() < end; await sleep(200)) if (up()) break;
        assert.ok(up(), 'the installer is up before the uplink is back');
        await sleep(Math.max(0, field.strikes.at(-1)!.at + cutMs - Date.now()));
      } else await sleep(cutMs);
      await site.cut(false);
    },
    look: nothingFailed,
    expect: allProved,
  };
}

function relayKilled(stage: keyof typeof moments): Fault {
  return {
    name: `relay-killed-${stage}`,
    what: 'nixie relay killed (SIGKILL), started again 5 s later, nothing routed',
    where: stage,
    lab,
    async inject(field) {
      const site = siteOf(field);
      await moments[stage](field);
      site.process.child.signal('SIGKILL');
      await site.process.child.exited;
      field.struck();
      await sleep(5000);
      await site.start();
    },
    look: bootedOnce,
    expect: allProved,
  };
}

/** In order, as by an upgrade: and then on, with both machines. */
const relayRestarted: Fault = {
  name: 'relay-restarted-copy',
  what: 'nixie relay restarted (SIGTERM) while a BIOS and a UEFI machine copy, subnets routed',
  where: 'copy',
  lab: {
    ...lab,
    site: 'routed',
    machines: [
      { ...machine1, firmware: 'bios' },
      { ...machine1, name: 'machine2' },
    ],
  },
  async inject(field) {
    await field.copying();
    field.struck();
    const { code } = await siteOf(field).process.stop();
    assert.equal(code, 0);
    await siteOf(field).start();
  },
  look(field) {
    const seen = field.events().flatMap((event) => (event.event === 'seen' ? [event.relay] : []));
    assert.ok(seen.length > 0 && seen.every((relay) => relay === 'rack7'), 'all is heard through the relay');
  },
  expect: allProved,
};

/** 30 MB: there is no room for the initrd, and none for the closure. */
const cacheFull: Fault = {
  name: 'relay-disk-full',
  what: 'disk of a nixie relay full from the start, nothing routed',
  where: 'loading',
  lab,
  async before(field) {
    const folder = siteOf(field).stateFolder;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    await run(['mount', '-t', 'tmpfs', '-o', 'size=30m,mode=700', 'tmpfs', folder]);
    field.cleanups.push(async () => {
      await siteOf(field).close();
      await run(['umount', folder]);
    });
  },
  async inject(field) {
    await moments.waking(field);
    field.struck('machine1', 'loading');
  },
  look(field) {
    const told = siteOf(field).process.lines.filter((line) => /no space left/.test(String(line.text)));
    assert.ok(told.length > 0, 'the relay tells of it');
  },
  expect: allProved,
};

const killed = controllerKilled('copy');
const controllerKilledFarAway: Fault = {
  ...killed,
  name: 'relay-controller-killed-copy',
  what: 'controller killed (SIGKILL) and started again; the machine is behind a nixie relay, nothing routed',
  // Where what the copy left won't let go of the disk, the installer is booted afresh: by BootNext, which BIOS hasn't.
  lab: { ...lab, machines: [machine1] },
};

export const siteFaults: readonly Fault[] = [
  uplinkCut('loading'),
  uplinkCut('disko'),
  uplinkCut('copy'),
  uplinkCut('install'),
  uplinkCut('proving'),
  relayKilled('loading'),
  relayKilled('copy'),
  relayKilled('install'),
  relayRestarted,
  cacheFull,
  controllerKilledFarAway,
];
