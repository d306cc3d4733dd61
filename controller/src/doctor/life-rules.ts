// Rules that go by the stage: before the first packet, while it is installed, after the reboot, and the ends.
import { buildFailed } from '../machine/life.ts';
import type { Stage } from '../machine/stage.ts';
import type { CauseId } from './causes.ts';
import { type Found, type Look, often } from './look.ts';
import type { Entry, StageEntry } from './trail.ts';

/** Ends that stand by themselves. */
export function endRules(look: Look): Found[] {
  const { stage } = look;
  if (stage === undefined) return [];
  const reason = stage.reason ?? 'no reason was recorded';
  const one = (id: CauseId): Found[] => [{ id, says: reason, shown: [stage] }];
  if (stage.stage === 'refused') return one('machine-refused');
  if (stage.stage === 'doubtful' || stage.stage === 'unproved') return one('not-provable');
  if (stage.stage !== 'failed') return [];
  if (reason.startsWith('cancelled')) return one('cancelled');
  if (/two machines claim/.test(reason)) return one('two-machines');
  // Machines boot while their systems are built.
  if (reason.startsWith(buildFailed)) return one('not-built');
  const byWay: Readonly<Partial<Record<Stage, CauseId>>> = {
    planned: 'not-built',
    disko: 'partitioning-failed',
    copy: 'copy-failed',
    install: 'install-failed',
  };
  const id = look.way === undefined ? 'not-built' : byWay[look.way.stage];
  return id === undefined ? [] : one(id);
}

/** While it is installed: the agent is the only witness. */
export function sessionRules(look: Look): Found[] {
  if (!look.in('registered', 'preflight', 'disko', 'copy', 'install', 'restarting')) return [];
  const last = look
    .of('agent-up', 'agent-down')
    .sort((a, b) => a.last - b.last)
    .at(-1);
  if (last?.kind !== 'agent-down' || !look.quiet(30)) return [];
  return [
    {
      id: 'agent-lost',
      says: `its session ended (${last.detail ?? 'no reason'}) and did not come back`,
      shown: [last],
    },
  ];
}

/** The way to it: without its relay nothing is heard of it, and nothing reaches it. */
export function relayRules(look: Look): Found[] {
  const last = look
    .of('relay')
    .sort((a, b) => a.last - b.last)
    .at(-1);
  const id = last?.why === undefined ? undefined : relayCauses[last.why];
  return last === undefined || id === undefined ? [] : [{ id, says: last.detail ?? 'its relay', shown: [last] }];
}

const relayCauses: Readonly<Record<string, CauseId>> = {
  away: 'relay-away',
  refused: 'relay-refused',
  'no-plan': 'relay-no-plan',
};

/** Nobody was heard. */
export function silenceRules(look: Look): Found[] {
  const waking = look.trail.stages.findLast(({ stage }) => stage === 'waking');
  if (waking === undefined || !look.in('waking') || look.phase > 0 || !look.lasts(60)) return [];
  const strangers = look.trail.around.filter(({ mac, last }) => mac !== undefined && last >= waking.at);
  if (strangers.length === 0) return [{ id: 'nothing-heard', says: 'no packet came from its MACs', shown: [waking] }];
  const macs = strangers
    .slice(0, 8)
    .map((each) => `${each.mac}${each.interface === undefined ? '' : ` on ${each.interface}`}`);
  const says = `no packet came from its MACs, while ${macs.join(', ')} asked to boot and ${strangers.length === 1 ? 'is' : 'are'} in no hosts file`;
  return [{ id: 'unlisted-mac', says, shown: [waking, ...strangers] }];
}

/** From the mark before the reboot on. */
export function rebootRules(look: Look): Found[] {
  if (!look.in('rebooting', 'proving')) return [];
  const mark = look.trail.stages.findLast(({ stage }) => stage === 'rebooting') ?? look.way!;
  const later = (entries: Entry[]) => entries.filter(({ last }) => last >= mark.at);
  const network = later([...look.firmware(), ...look.ipxe()]);
  const system = later(look.system());
  if (network.length > 0 && system.length === 0 && look.quiet(60))
    return [
      {
        id: 'network-before-disk',
        says: `since the reboot it asked ${often(network)} to boot from the network`,
        shown: [mark, ...network],
      },
    ];
  if (system.length > 0 && look.quiet(120))
    return [
      {
        id: 'back-unproved',
        says: 'its system asked for an address, and could not be proved since',
        shown: [mark, ...system],
      },
    ];
  if (network.length + system.length === 0 && look.lasts(180))
    return [{ id: 'not-back', says: 'nothing was heard of it since the reboot', shown: [mark] }];
  return [];
}

/** What explains little alone, and is worth telling beside the rest. */
export function besideRules(look: Look): Found[] {
  const found: Found[] = [];
  const add = (id: CauseId, says: (shown: readonly Entry[]) => string, shown: readonly Entry[]) => {
    if (shown.length > 0) found.push({ id, says: says(shown), shown });
  };
  const { entries, around } = look.trail;
  const detail = (shown: readonly Entry[]) => shown.at(-1)!.detail ?? 'it';
  add(
    'address-declined',
    (shown) => `it declined ${detail(shown)}`,
    entries.filter(({ why }) => why === 'declined'),
  );
  add('dhcp-malformed', (shown) => `${often(shown)}: ${detail(shown)}`, look.of('dhcp-malformed'));
  add(
    'asks-too-often',
    (shown) => `more was asked in its name than firmware asks (noticed ${often(shown)})`,
    look.of('dhcp-limited'),
  );
  const begun = look.trail.stages[0]?.at ?? 0;
  add(
    'flood',
    (shown) => `more came than is looked at (noticed ${often(shown)})`,
    around.filter(({ kind, last }) => kind === 'dhcp-flood' && last >= begun),
  );
  return [...found, ...cacheRules(look)];
}

/** What slowed a copy down and broke nothing. */
export function cacheRules(look: Look): Found[] {
  const unused = look.of('cache-unused');
  const last = unused.at(-1);
  return last === undefined ? [] : [{ id: 'cache-unused', says: last.detail ?? 'its copy was pushed', shown: unused }];
}

/** The last resort: what failed says why. */
export function reasonRule(stage: StageEntry | undefined): Found[] {
  return stage?.stage === 'failed'
    ? [{ id: 'failed', says: stage.reason ?? 'no reason was recorded', shown: [stage] }]
    : [];
}
