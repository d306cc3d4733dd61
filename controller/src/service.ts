// A run without an end, seen from outside: its hosts file is read again when the operator says so, and taken as a whole or not at all.
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Loaders } from './answer/scene.ts';
import type { ConfigResult } from './config/flags.ts';
import { problemLine } from './config/problem.ts';
import type { RunConfig } from './config/run-config.ts';
import type { Account } from './core/account.ts';
import type { Consent } from './core/consent.ts';
import type { HostBook } from './core/hosts.ts';
import { secretsOf } from './install/secrets.ts';
import type { Host } from './machine/host.ts';
import { Roster, type RosterWorld } from './roster.ts';

export interface Service {
  /** Reads options and files again. */
  read(): ConfigResult;
  /** Has it called each time that the operator wants the hosts file read again. */
  onReload(call: () => void): void;
  /** All sockets are open. From then on `answers`, which rejects when DHCP and TFTP don't, may be asked whether this is alive. */
  ready(answers: () => Promise<unknown>): void;
}

export interface ServedWorld {
  readonly outside: Pick<Service, 'read' | 'onReload'>;
  /** With which it begins. */
  readonly config: RunConfig;
  readonly book: HostBook;
  readonly core: RosterWorld['core'];
  readonly account: Pick<Account, 'notice'>;
  readonly loaders: Loaders;
  readonly consent: Pick<Consent, 'settle' | 'isUsedUp'>;
  /** Why these hosts can't be together on our networks and those that are declared with them. */
  unplaceable(config: Pick<RunConfig, 'hosts' | 'subnets'>): readonly string[];
  /** These are declared from now on. */
  takeSubnets(subnets: RunConfig['subnets']): void;
  readonly forget: RosterWorld['forget'];
  readonly changed: RosterWorld['changed'];
  /** Evaluates and builds the hosts of this configuration, and lets them begin. */
  prepare(config: RunConfig, evaluated: () => void): Promise<void>;
}

export class ServedHosts {
  readonly roster: Roster;
  readonly #world: ServedWorld;
  #config: RunConfig;

  constructor(world: ServedWorld) {
    this.#world = world;
    this.#config = world.config;
    const { book, core, account, forget, changed } = world;
    this.roster = new Roster({
      book,
      core,
      notice: (level, text, host) => account.notice(level, text, host),
      forget,
      changed,
      prepare: (hosts, evaluated) => world.prepare(onlyHosts(this.#config, hosts), evaluated),
    });
  }

  /** From now on it is read again when the operator says so. Resolves when the first hosts are built; rejects when the flake as a whole can't be read. */
  begin(): Promise<void> {
    this.#world.outside.onReload(() => this.#reload());
    this.#settle();
    return this.roster.wish(this.#config.hosts);
  }

  /** Reads the hosts file again and takes it, or says all that is wrong with it and leaves everything as it was. */
  #reload(): void {
    const { outside, account, loaders, unplaceable } = this.#world;
    const { hosts, hostsFile, subnets } = this.#config;
    const read = outside.read();
    const problems = read.ok
      ? [...unservable(hosts, read.config.hosts, loaders), ...unplaceable(read.config)]
      : read.problems.map(problemLine);
    if (!read.ok || problems.length > 0) {
      for (const problem of problems) account.notice('error', problem);
      account.notice('error', `${hostsFile} was read again and can not be used: what held before holds on`);
      return;
    }
    for (const warning of read.warnings) account.notice('warning', warning);
    account.notice('info', `${hostsFile} was read again: ${difference(this.#config, read.config)}`);
    this.#config = read.config;
    if (!isDeepStrictEqual(subnets, read.config.subnets)) this.#world.takeSubnets(read.config.subnets);
    this.#settle();
    this.roster.wish(read.config.hosts).catch((error: Error) => account.notice('error', error.message));
  }

  /** Whose consent still counts. */
  #settle(): void {
    const { account, consent } = this.#world;
    consent.settle(this.#config.hosts);
    const used = this.#config.hosts.filter((host) => consent.isUsedUp(host)).map(({ name }) => name);
    if (used.length > 0)
      account.notice(
        'info',
        `installed already, so the consent to lose what is on the disks counts no more for ${used.join(', ')}; to give it anew: nixie retry NAME when one was refused, or take it out and put it in again`,
      );
  }
}

/** What a service that runs already can't do for a host that is new or changed. */
function unservable(before: readonly Host[], after: readonly Host[], loaders: Loaders): string[] {
  const fresh = after.filter((host) => !before.some((each) => isDeepStrictEqual(each, host)));
  return fresh.flatMap((host) => {
    const missing = host.system === 'aarch64-linux' ? !loaders.arm64 : !loaders.x64 || !loaders.bios;
    const typed = secretsOf(host).filter(({ source }) => source.kind === 'prompt');
    return [
      ...(missing
        ? [`${host.name}: there is no boot loader for ${host.system}; install it, and start the service anew`]
        : []),
      ...typed.map(({ name }) => `${name}: it would have to be typed, and that is asked only when the service starts`),
    ];
  });
}

type Declared = Pick<RunConfig, 'hosts' | 'subnets'>;

function difference(
  { hosts: before, subnets: subnetsBefore }: Declared,
  { hosts: after, subnets: subnetsAfter }: Declared,
): string {
  const was = new Map(before.map((host) => [host.name, host]));
  const is = new Map(after.map((host) => [host.name, host]));
  const words = [
    ['new', after.filter(({ name }) => !was.has(name))],
    ['changed', after.filter((host) => was.has(host.name) && !isDeepStrictEqual(was.get(host.name), host))],
    ['removed', before.filter(({ name }) => !is.has(name))],
  ] as const;
  const parts = words.flatMap(([word, hosts]) =>
    hosts.length === 0 ? [] : [`${word}: ${hosts.map(({ name }) => name).join(', ')}`],
  );
  if (!isDeepStrictEqual(subnetsBefore, subnetsAfter)) parts.push('other subnets');
  return parts.length === 0 ? 'nothing has changed' : parts.join('; ');
}

/** The same run with these hosts alone. */
function onlyHosts(config: RunConfig, hosts: readonly Host[]): RunConfig {
  const systems = new Set<string>(hosts.map(({ system }) => system));
  const installers = Object.fromEntries(Object.entries(config.installers).filter(([system]) => systems.has(system)));
  return { ...config, hosts, installers };
}

const partForm = /^reload-\d+$/;

/** Folder below gcroots for the preparation of this number; the first has the whole. Those of an earlier life go with it. */
export function gcPart(stateDir: string, number: number): string {
  if (number > 0) return `reload-${number}`;
  const folder = join(stateDir, 'gcroots');
  try {
    for (const name of readdirSync(folder))
      if (partForm.test(name)) rmSync(join(folder, name), { recursive: true, force: true });
  } catch {
    // There is none yet.
  }
  return '';
}
