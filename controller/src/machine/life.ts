// The life of one machine in one run: stages, what may happen in each, how long each may last. Pure; the only writer is core/.
//
// Nothing here is remembered for a later run: a later run asks the machine itself (is it up and proved?) and then its disks. One mark is
// kept while a reboot into the new system is under way (store/marks.ts): a run that was cut off there goes on with the proof.
import type { Mac } from './mac.ts';
import { isEnd, type Stage, type WayStep } from './stage.ts';

/** What a machine that asks for a boot file is given.
 *  installer: loader, script, kernel. local: an iPXE that asks is sent to its disk, other firmware hears nothing.
 *  silent: nothing but an address, if we give addresses at all. */
export type BootOffer = 'installer' | 'local' | 'silent';

/** What a front door, a timer or an effect saw. */
export type Happening =
  | { kind: 'begin' }
  /** An earlier run installed just this system and was cut off before its proof. */
  | { kind: 'reboot-marked' }
  /** The probe's answer: it runs what was built; it answers but can't be proved; or nobody answers. */
  | { kind: 'found-proved'; address: string }
  | { kind: 'found-doubtful'; reason: string; address?: string }
  | { kind: 'found-nobody' }
  | { kind: 'firmware-asked' }
  | { kind: 'script-fetched' }
  | {
      kind: 'agent-registered';
      mac: Mac;
      address: string;
      sshHostKey: string;
      bootId: string;
    }
  | { kind: 'inspecting' }
  | { kind: 'disks-free' }
  | { kind: 'disks-refused'; reason: string }
  | { kind: 'install-began' }
  | { kind: 'install-ended' }
  | { kind: 'disko-ended' }
  /** What was tried twice failed twice, for a reason that a fresh boot of the installer may end. */
  | { kind: 'stuck'; reason: string }
  | { kind: 'reboot-ordered' }
  | { kind: 'proof-given'; address: string; hostKey: string }
  | { kind: 'proof-impossible'; reason: string; address: string }
  | { kind: 'failed'; reason: string }
  | { kind: 'cancelled'; reason: string }
  | { kind: 'retry' }
  | { kind: 'waited-too-long' };

export type HappeningKind = Happening['kind'];

export interface Life {
  readonly host: string;
  readonly stage: Stage;
  /** When this stage was entered, milliseconds of a clock that nobody sets. */
  readonly since: number;
  readonly reason?: string;
  /** Of the agent, later of the installed system. */
  readonly address?: string;
  /** The MAC that registered. */
  readonly mac?: Mac;
  /** `ssh-ed25519 AAAA…` of the installer of this boot. */
  readonly sshHostKey?: string;
  readonly bootId?: string;
  /** How often the machine has begun anew in this run after a boot in the middle of an install, of its own or by our order. */
  readonly restarts: number;
  /** `ssh-ed25519 AAAA…` of the installed system, once proved. */
  readonly provedKey?: string;
  /** Milliseconds spent in each stage that was left. */
  readonly spent: Readonly<Partial<Record<Stage, number>>>;
}

export function newLife(host: string, at: number): Life {
  return { host, stage: 'planned', since: at, restarts: 0, spent: {} };
}

/** The table of moves: from a stage, by what happened, to a stage. What isn't in it is refused with a sentence. */
export const moves: Readonly<Record<WayStep, Partial<Record<HappeningKind, Stage>>>> = {
  planned: { begin: 'probing', 'reboot-marked': 'rebooting' },
  // An agent with a credential of ours: the installer of an earlier run is still up.
  probing: {
    'agent-registered': 'registered',
    'found-proved': 'skipped',
    'found-doubtful': 'doubtful',
    'found-nobody': 'waking',
  },
  // It may have come up from its disk.
  waking: {
    'firmware-asked': 'firmware',
    'script-fetched': 'loading',
    'agent-registered': 'registered',
    'found-proved': 'skipped',
    'found-doubtful': 'doubtful',
  },
  firmware: { 'firmware-asked': 'firmware', 'script-fetched': 'loading', 'agent-registered': 'registered' },
  loading: { 'firmware-asked': 'loading', 'script-fetched': 'loading', 'agent-registered': 'registered' },
  registered: { inspecting: 'preflight', 'agent-registered': 'registered', 'disks-refused': 'refused' },
  preflight: {
    'disks-free': 'disko',
    'disks-refused': 'refused',
    'agent-registered': 'registered',
    stuck: 'restarting',
  },
  // Looked at once more before its first byte.
  disko: { 'disko-ended': 'copy', 'disks-refused': 'refused', 'agent-registered': 'registered', stuck: 'restarting' },
  copy: { 'install-began': 'install', 'agent-registered': 'registered', stuck: 'restarting' },
  install: { 'install-ended': 'rebooting', 'agent-registered': 'registered', stuck: 'restarting' },
  restarting: { 'firmware-asked': 'firmware', 'script-fetched': 'loading', 'agent-registered': 'registered' },
  rebooting: { 'reboot-ordered': 'proving', 'proof-given': 'proved' },
  proving: { 'proof-given': 'proved', 'proof-impossible': 'unproved' },
};

/** Moves that every stage on the way has. */
const always: Partial<Record<HappeningKind, Stage>> = {
  failed: 'failed',
  cancelled: 'failed',
  'waited-too-long': 'failed',
};

/** Between these the disk is being written: a boot in the middle means that the install began anew. */
const writing: readonly Stage[] = ['disko', 'copy', 'install'];

/** How the reason of one begins that had been woken by then. */
export const buildFailed = 'its build has failed: ';

/** How long a stage may last before the machine is given up, seconds. Real servers need minutes for their self-test. */
export type Patience = Readonly<Record<WayStep, number>>;
export const patience: Patience = {
  planned: Number.POSITIVE_INFINITY, // the build has its own end
  probing: 120,
  waking: 900,
  firmware: 600, // firmware may go once round its boot entries and its self-test
  loading: 600,
  registered: 120,
  preflight: 120,
  disko: 900,
  copy: 7200,
  install: 1800,
  restarting: 600,
  rebooting: 300,
  proving: 900,
};

export type Advance = { moved: true; life: Life } | { moved: false; sentence: string };

/** The machine after what happened, or a sentence that says why that can't happen now. Ends take nothing but `retry` (failed, refused). */
export function advance(life: Life, happening: Happening, at: number): Advance {
  const no = (sentence: string): Advance => ({ moved: false, sentence });
  if (isEnd(life.stage)) {
    if (happening.kind === 'retry' && (life.stage === 'failed' || life.stage === 'refused')) return retried(life, at);
    return no(`${happening.kind} comes too late: ${life.host} has ended as ${life.stage}`);
  }
  if (happening.kind === 'waited-too-long' && writing.includes(life.stage))
    return advance(life, { kind: 'stuck', reason: gaveUp[life.stage] }, at);
  const next = moves[life.stage][happening.kind] ?? always[happening.kind];
  if (next === undefined) return no(`${happening.kind} can't happen while ${life.host} is ${life.stage}`);
  if (happening.kind === 'agent-registered') {
    const again = writing.includes(life.stage);
    if (again && life.restarts >= 1)
      return {
        moved: true,
        life: enter(life, 'failed', at, { reason: 'it started anew twice in the middle of its install' }),
      };
    // Whatever was said of the boot before is over.
    const { reason: _, ...anew } = life;
    return {
      moved: true,
      life: enter(anew, next, at, {
        address: happening.address,
        mac: happening.mac,
        sshHostKey: happening.sshHostKey,
        bootId: happening.bootId,
        restarts: life.restarts + (again ? 1 : 0),
      }),
    };
  }
  if (happening.kind === 'stuck') {
    const { reason } = happening;
    if (life.restarts >= 1) return { moved: true, life: enter(life, 'failed', at, { reason }) };
    return { moved: true, life: enter(life, next, at, { reason, restarts: life.restarts + 1 }) };
  }
  const more: Partial<Life> = {};
  if ('address' in happening && happening.address !== undefined) Object.assign(more, { address: happening.address });
  if (happening.kind === 'proof-given') Object.assign(more, { provedKey: happening.hostKey });
  if ('reason' in happening) Object.assign(more, { reason: happening.reason });
  if (happening.kind === 'waited-too-long')
    Object.assign(more, {
      reason: [life.reason, gaveUp[life.stage]].filter((each) => each !== undefined).join('; then '),
    });
  return { moved: true, life: enter(life, next, at, more) };
}

/** Begins anew. What was installed and only not proved is proved again: never a second install without the operator's consent. */
function retried(life: Life, at: number): Advance {
  const anew = newLife(life.host, at);
  // Nobody has found out yet whether it is up.
  const unprobed = Object.keys(life.spent).every((stage) => stage === 'planned' || stage === 'probing');
  if (unprobed) return { moved: true, life: { ...anew, stage: 'probing' } };
  if (!marked(life)) return { moved: true, life: { ...anew, stage: 'waking' } };
  const { address, spent } = life;
  return { moved: true, life: { ...anew, stage: 'proving', spent, ...(address === undefined ? {} : { address }) } };
}

/** The mark before the reboot was set: the new system is on its disk. */
export function marked(life: Life): boolean {
  return life.stage === 'rebooting' || life.stage === 'proving' || life.spent.rebooting !== undefined;
}

/** Its disk has been written to in this run, and is not a whole system yet. */
export function halfWritten(life: Life): boolean {
  return !marked(life) && (writing.includes(life.stage) || life.spent.disko !== undefined);
}

function enter(life: Life, stage: Stage, at: number, more: Partial<Life>): Life {
  if (stage === life.stage && more.bootId === undefined) return { ...life, ...more };
  const spent = { ...life.spent, [life.stage]: (life.spent[life.stage] ?? 0) + Math.max(0, at - life.since) };
  return { ...life, ...more, stage, since: at, spent };
}

const gaveUp: Readonly<Record<WayStep, string>> = {
  planned: 'nothing was started in time',
  probing: 'it could not be found out in time whether it runs already',
  waking:
    'nothing was heard from its MAC after waking: is it cabled to this network, is Wake-on-LAN on, or must it be switched on by hand?',
  firmware:
    'its firmware asked but never fetched its boot script: does a DHCP server give it an address, is another PXE server or DHCP snooping on this network, or a firewall on UDP 67, 69, 4011 and TCP 7480?',
  loading:
    'it fetched its boot script but its agent never registered: too little memory, a missing network driver in the installer, or a firewall on TCP 7481?',
  registered: 'its agent registered but never opened its session',
  preflight: 'its agent did not report the disks in time',
  disko: 'partitioning did not end in time',
  copy: 'the closure was not copied in time',
  install: 'nixos-install did not end in time',
  restarting: 'its installer was told to boot afresh and was not heard of again',
  rebooting: 'the reboot was not ordered in time',
  proving: 'it was installed, but the installed system did not answer after the reboot',
};

/** What firmware is offered in each stage. From the reboot mark on, and after every end, never the installer. */
export function offerIn(stage: Stage): BootOffer {
  if (stage === 'planned' || stage === 'probing') return 'silent';
  if (isEnd(stage) || stage === 'rebooting' || stage === 'proving') return 'local';
  return 'installer';
}
