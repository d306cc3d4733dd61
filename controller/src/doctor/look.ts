// A trail with the questions that the rules ask of it.
import type { ClientKind } from '../answer/firmware.ts';
import { isEnd, type Stage } from '../machine/stage.ts';
import type { CauseId } from './causes.ts';
import { type Entry, type NoteKind, phaseOf, type StageEntry, type Trail } from './trail.ts';

/** What a rule found: its cause, one sentence with what is particular to this machine, and what shows it. */
export interface Found {
  readonly id: CauseId;
  readonly says: string;
  readonly shown: readonly (Entry | StageEntry)[];
}

const firmwareClients: readonly (ClientKind | undefined)[] = ['pxe', 'http', 'small-ipxe'];
const systemClients: readonly (ClientKind | undefined)[] = ['agent', 'system', 'plain'];
const agentPhase = 8;

export class Look {
  readonly trail: Trail;
  /** Milliseconds of the wall clock. */
  readonly now: number;
  /** The newest boot. */
  readonly entries: readonly Entry[];
  readonly stage: StageEntry | undefined;
  /** The last stage that was no end. */
  readonly way: StageEntry | undefined;
  /** Furthest phase of the newest boot, see `phaseOf`; 0: nothing was seen. */
  readonly phase: number;

  constructor(trail: Trail, now: number) {
    this.trail = trail;
    this.now = now;
    const newest = Math.max(0, ...trail.entries.map(({ attempt }) => attempt));
    this.entries = trail.entries.filter(({ attempt }) => attempt === newest);
    this.stage = trail.stages.at(-1);
    this.way = trail.stages.findLast(({ stage }) => !isEnd(stage));
    this.phase = Math.max(0, ...this.entries.map((entry) => phaseOf(entry) ?? 0));
  }

  /** Nothing more is to come: no wait is too short. */
  get ended(): boolean {
    return this.stage !== undefined && isEnd(this.stage.stage);
  }

  in(...stages: readonly Stage[]): boolean {
    return this.way !== undefined && stages.includes(this.way.stage);
  }

  /** For so long nothing more was seen of the newest boot. */
  quiet(seconds: number): boolean {
    const last = Math.max(0, ...this.entries.map((entry) => entry.last));
    return this.ended || this.now - last >= seconds * 1000;
  }

  /** For so long the stage lasts. */
  lasts(seconds: number): boolean {
    return this.ended || (this.stage !== undefined && this.now - this.stage.at >= seconds * 1000);
  }

  of(...kinds: readonly NoteKind[]): Entry[] {
    return this.entries.filter(({ kind }) => kinds.includes(kind));
  }

  /** DHCP messages of the machine's firmware; of its iPXE; of what it booted. */
  firmware(): Entry[] {
    return this.#dhcp().filter(({ client }) => firmwareClients.includes(client));
  }

  ipxe(): Entry[] {
    return this.#dhcp().filter(({ client }) => client === 'ipxe');
  }

  system(): Entry[] {
    return this.#dhcp().filter(({ client }) => systemClients.includes(client));
  }

  /** Other servers that offered it something to boot. */
  otherBoots(): Entry[] {
    return this.of('other-offer').filter(({ why }) => why?.includes('boot file') === true);
  }

  /** The last boot in which its agent was seen; 0: in none. */
  get agentAt(): number {
    return Math.max(0, ...this.trail.entries.map((entry) => (phaseOf(entry) === agentPhase ? entry.attempt : 0)));
  }

  agentSeen(): boolean {
    return this.entries.some((entry) => phaseOf(entry) === agentPhase);
  }

  /** Said of findings that another server's offers could explain. */
  get deaf(): string {
    const listening = this.trail.around.filter(({ kind }) => kind === 'listening');
    return listening.some(({ why }) => why === 'yes')
      ? ''
      : `; offers of other servers could not be heard here${listening[0]?.detail === undefined ? '' : ` (${listening[0].detail})`}`;
  }

  #dhcp(): Entry[] {
    return this.of('dhcp-answered', 'dhcp-silent');
  }
}

export const times = (entries: readonly Entry[]): number => entries.reduce((sum, { count }) => sum + count, 0);

/** Of what: `snponly.efi: no answer to block 1` → `snponly.efi` */
export const fileOf = (entry: Entry | undefined): string => entry?.detail?.split(':')[0] ?? 'the loader';

/** `3 times`, `once` */
export const often = (entries: readonly Entry[]): string => (times(entries) === 1 ? 'once' : `${times(entries)} times`);
