// What the tasks of the stages are given: the ways to machines, agents and programs, and what is remembered while a run lasts.
import { stat } from 'node:fs/promises';
import type { InstructionResult, SessionResponse } from '@nixie/proto/agent';
import type { Inventory } from '@nixie/proto/inventory';
import type { Identity } from '../child/identity.ts';
import { makeRunFolder } from '../install/folders.ts';
import { installedHostKey, type Keygen, type KeyPair } from '../install/keys.ts';
import { openMaster } from '../install/master.ts';
import { runPhase } from '../install/run.ts';
import type { Secrets } from '../install/secrets.ts';
import { writeKnownHosts, writeShim } from '../install/shim.ts';
import { stageExtraFiles } from '../install/staging.ts';
import { prove, scanHostKey, waitForProof } from '../install/verify.ts';
import type { RunEvent } from '../machine/event.ts';
import type { Host } from '../machine/host.ts';
import type { Happening } from '../machine/life.ts';
import type { Mac } from '../machine/mac.ts';
import type { Closure } from '../nix/closure.ts';
import type { HostSystem } from '../nix/types.ts';
import type { Begun } from '../store/begun.ts';
import type { Marks } from '../store/marks.ts';
import type { CacheOffers } from './cache-offer.ts';
import type { FreeLook } from './disk-look.ts';
import type { Recorded } from './hardware-check.ts';
import type { Logins } from './logins.ts';
import type { Finder } from './place.ts';
import type { RelayWay } from './relay-way.ts';

type Instruction = Extract<NonNullable<SessionResponse['message']>, { $case: 'instruction' }>['value'];
export type Action = NonNullable<Instruction['action']>;

/** A host with what it is to run: known from the evaluation on. */
export interface Plan {
  readonly host: Host;
  readonly system: HostSystem;
  /** Absent: it is still being built. */
  readonly closure?: Closure;
  /** Of the disko script. Absent: not known; it is pushed. */
  readonly diskoClosure?: Closure;
}

/** All of it is in the store, and kept there. */
export type BuiltPlan = Plan & { readonly closure: Closure };

/** The way to the agent of a machine. */
export interface AgentLink {
  /** Resolves when a session of this boot is there; rejects at the deadline or the signal. */
  connected(host: string, deadlineMs: number, signal: AbortSignal, bootId?: string): Promise<void>;
  /** Counts the sessions of its agent: another number is another connection. Undefined: there is none. */
  session(host: string): number | undefined;
  instruct(host: string, action: Action, deadlineMs: number): Promise<InstructionResult>;
}

/** All by which tasks reach beyond memory: files, programs, clocks. */
export const realTools = {
  exists: (path: string): Promise<boolean> =>
    stat(path).then(
      () => true,
      () => false,
    ),
  installedHostKey,
  makeRunFolder,
  openMaster,
  prove,
  runPhase,
  scanHostKey,
  stageExtraFiles,
  waitForProof,
  writeKnownHosts,
  writeShim,
};
export type TaskTools = typeof realTools;

export interface TaskWorld {
  /** Absent: the real ones. */
  readonly tools?: TaskTools;
  readonly plans: { get(host: string): Plan | undefined };
  /** Resolves when its plan is a built one, at the signal, or when nothing will be built for it. Absent: every plan is. */
  whenBuilt?(host: string, signal: AbortSignal): Promise<void>;
  /** Its build has failed. Absent: no build has. */
  buildFailed?(host: string): boolean;
  readonly finder: Finder;
  readonly agents: AgentLink;
  /** The way to machines behind relays. Absent: none is. */
  readonly relays?: RelayWay;
  /** Addresses that these MACs have by DHCP, as far as we know. @param relay behind which they are; absent: on our own networks */
  leased(macs: readonly Mac[], relay?: string): readonly string[];
  /** Where it was proved last, in this run or an earlier one: it may be anybody's by now. Absent: nobody remembers. */
  provedBefore?(host: string): string | undefined;
  /** The MACs of all cards that the machine had when it registered last. Absent: nothing is known of cards that the hosts file doesn't list. */
  cardsOf?(host: string): readonly Mac[];
  /** Addresses that the name service knows for these names; none when it is slow. Absent: nobody is asked. */
  lookup?(names: readonly string[]): Promise<readonly string[]>;
  /** Lines for root's authorized_keys, for a boot that has those of an earlier life of the controller; undefined: it has ours. */
  keysFor?(bootId: string): readonly string[] | undefined;
  keysGiven?(bootId: string): void;
  /** Absent: a run that is cut off before the proof leaves no mark. */
  readonly marks?: Marks;
  /** The disks that were free before we began to write to them. Absent: none is known again. */
  readonly begun?: Begun;
  /** The inventory of the registration of this boot, then each newer one. */
  inventory(host: string): Inventory | undefined;
  keepInventory(host: string, inventory: Inventory): void;
  /** What its agent told at length, with the health of disks: in this boot or an earlier one. Absent: nobody keeps it. */
  fullInventory?(host: string): Inventory | undefined;
  /**
   * `ssh-ed25519 AAAA…` of the installer that registered last, kept over a restart: who shows it has lost nothing but the controller, and its
   * agent will be back.
   */
  installerKey(host: string): string | undefined;
  /** On what the last look at the disks of each machine was based. */
  readonly looks: Map<string, FreeLook>;
  tell(host: string, happening: Happening): void;
  emit(event: RunEvent): void;
  now(): number;
  sleep(milliseconds: number, signal: AbortSignal): Promise<void>;
  /** One round of magic packets; the number sent. */
  wake(macs: readonly Mac[], signal: AbortSignal, relay?: string): Promise<number>;
  /** Runs it when one of the places for copies is free; returns at once when it is called off before. */
  inTurn(call: () => Promise<void>, host: string, signal: AbortSignal): Promise<void>;
  /** Resolves when so few are on their way that one more may be woken, or at the signal. Absent: at once. */
  wakeInTurn?(host: Host, signal: AbortSignal): Promise<void>;
  /** The same for looks at machines that are being woken. */
  lookInTurn(call: () => Promise<void>, host: string, signal: AbortSignal): Promise<void>;
  /** A boot script was given out for it, by this life of the controller or an earlier one, whose agent may still register. */
  expects(host: string): boolean;
  mayLoseData(host: Host): boolean;
  /** What was recorded of its hardware, read in this moment; undefined: nothing was. Rejects when it can't be read. Absent: of none. */
  recorded?(host: Host): Promise<Recorded | undefined>;
  /** Hardware that isn't what was recorded is not installed. */
  readonly strictHardware?: boolean;
  /** The operator's consent has been used up by an install. Absent: by none. */
  consentIsUsedUp?(host: Host): boolean;
  /** What was installed by it is not lost by it: its install has ended. */
  consentUsed?(host: Host): void;
  /** Also of a machine that may lose its data it is asked first what it runs: a service that starts anew must not install what it has installed. */
  readonly asksFirst?: boolean;
  /** Absent: there is no binary cache. */
  readonly cache?: CacheOffers;
  /** It was offered to a machine, and not used. */
  cacheUnused?(host: string, why: string): void;
  readonly runKey: KeyPair;
  readonly proofKey: KeyPair;
  /** Private keys for the proof, best first. */
  readonly identities: readonly string[];
  readonly agentSocket?: string;
  readonly stateDir: string;
  /** Private folder for the short-lived files of proofs; absent: the state folder. */
  readonly proofFolder?: string;
  /** Absent: no host has any. */
  readonly secrets?: Pick<Secrets, 'read' | 'forget' | 'openDiskKeys' | 'stage'>;
  /** Whom nix, nixos-anywhere and ssh run as. Absent: as ourselves. */
  readonly childUser?: Identity;
  readonly logins: Logins;
  readonly nixosAnywhere: string;
  readonly realSsh: string;
  readonly keygen: Keygen;
  readonly searchPath: string;
  readonly nixEnv: Readonly<Record<string, string>>;
  readonly proofPatienceMs: number;
  /** Resolves when firmware is answered by what is decided now. */
  answersCurrent(host: Host, signal: AbortSignal): Promise<void>;
}
