// The options of `nixie --inventory-only` → what it may do, or everything that is wrong with them at once.

import { isAbsolute, join, resolve } from 'node:path';
import type { Host, System } from '../machine/host.ts';
import type { Mac } from '../machine/mac.ts';
import type { Subnet } from '../machine/subnet.ts';
import { readDuration } from './duration.ts';
import {
  checkAddress,
  type InstallOptions,
  readDhcp,
  readHostsFile,
  readInstallers,
  type Surroundings,
} from './flags.ts';
import { type Problem, show } from './problem.ts';
import type { DhcpSetting } from './run-config.ts';
import { defaultStateDir } from './state-dir.ts';
import { buildTimeoutKey, defaultBuildTimeoutSeconds } from './timeouts.ts';

export interface InventoryOnlyOptions extends InstallOptions {
  readonly inventoryOnly?: boolean;
  /** Beginnings of MACs; an empty one for all. */
  readonly any?: readonly string[];
  readonly for?: string;
  readonly count?: string;
  readonly out?: string;
}

/** Which machines may be booted: those of the hosts file, and those whose MAC begins with one of these. */
export interface Allowed {
  readonly hosts: readonly Host[];
  /** Lower case with colons; `''` is every machine. */
  readonly prefixes: readonly string[];
}

export interface InventoryRun {
  readonly allowed: Allowed;
  /** Neither hosts nor --any say who may be booted: the operator is to be asked. */
  readonly ask: boolean;
  readonly installers: Readonly<Partial<Record<System, string>>>;
  readonly flake: string;
  readonly address?: string;
  readonly interfaces: readonly string[];
  readonly dhcp: DhcpSetting;
  /** Of the hosts file, if there is one. */
  readonly subnets: readonly Subnet[];
  readonly ipxeDir?: string;
  readonly stateDir: string;
  /** Absolute. */
  readonly out: string;
  /** Ends by itself after so long, or after so many machines. */
  readonly milliseconds?: number;
  readonly count?: number;
  readonly json: boolean;
  readonly debug: boolean;
  readonly buildTimeoutSeconds: number;
}

export type InventoryRunResult =
  | { readonly ok: true; readonly run: InventoryRun }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** Options that only say how to install. */
const pointless = {
  only: '--only',
  reinstall: '--reinstall',
  sshKey: '--ssh-key',
  nixosAnywhere: '--nixos-anywhere',
  knownHosts: '--known-hosts',
  jobs: '--jobs',
  dryRun: '--dry-run',
  inventoryDir: '--inventory-dir',
  strictHardware: '--strict-hardware',
} as const satisfies Partial<Record<keyof InstallOptions, string>>;

/** Those that mean nothing in an install. */
export function inventoryOnlyWords(options: InventoryOnlyOptions): Problem[] {
  return (['any', 'for', 'count', 'out'] as const)
    .filter((name) => options[name] !== undefined)
    .map((name) => ({ where: `--${name}`, text: 'has no meaning without --inventory-only' }));
}

export function readInventoryRun(options: InventoryOnlyOptions, around: Surroundings): InventoryRunResult {
  const problems: Problem[] = [];
  const no = (where: string, text: string) => void problems.push({ where, text });
  const path = (given: string) => resolve(around.cwd, given.replace(/^~(?=\/|$)/, around.env.HOME ?? '~'));
  for (const [key, option] of Object.entries(pointless))
    if (options[key as keyof typeof pointless] !== undefined)
      no(option, 'has no meaning with --inventory-only: nothing is installed');
  if (options.cache === false) no('--no-cache', 'has no meaning with --inventory-only: nothing is installed');

  const read = options.hosts === undefined ? undefined : readHostsFile(path(options.hosts), options.hosts, around);
  if (read?.ok === false) problems.push(...read.problems);
  const hosts = read?.ok === true ? read.hosts : [];
  const subnets = read?.ok === true ? read.subnets : [];
  const prefixes = (options.any ?? []).flatMap((word) => {
    const prefix = readPrefix(word);
    if (prefix === undefined)
      no('--any', `found ${show(word)}, accepted: the beginning of a MAC like 52:54:00, or nothing for every machine`);
    return prefix ?? [];
  });

  const given = options.installer ?? [];
  // Each platform that an installer is named for; one without a name is for the usual one.
  const wanted = given.flatMap(
    (word) => (/^(x86_64-linux|aarch64-linux)=/.exec(word)?.[1] as System | undefined) ?? [],
  );
  const bare = given.some((word) => !/^[a-z0-9_]+-linux=/.test(word));
  const systems = new Set<System>([
    ...wanted,
    ...(bare && !wanted.includes('x86_64-linux') ? (['x86_64-linux'] as const) : []),
  ]);
  const installers = readInstallers(
    given,
    [...systems].map((system) => ({ system, name: system })),
    'install',
    no,
  );
  if (given.length === 0 && !problems.some(({ where }) => where === '--installer'))
    no('--installer', 'not given; accepted: a flake reference, like ./examples#nixosConfigurations.installer');
  const first = Object.values(installers)[0];
  const flake = options.flake ?? first?.replace(/#.*$/, '');
  if (first !== undefined && (flake === undefined || flake === ''))
    no('--flake', 'not given; accepted: the flake that the installer is of');
  else if (flake?.includes('#')) no('--flake', `found ${show(flake)}, accepted: a flake reference without "#…"`);

  const dhcp = readDhcp(options.dhcp ?? 'proxy', no);
  if (options.address !== undefined) checkAddress(options.address, no);
  const folder = (option: string, word: string | undefined, must: boolean) => {
    if (word === undefined) return undefined;
    const full = path(word);
    const kind = around.look(full)?.kind ?? (must ? undefined : 'folder');
    if (kind !== 'folder')
      no(option, `found no folder at ${full}, accepted: a folder${must ? '' : ', there already or not'}`);
    return full;
  };
  const ipxeDir = folder('--ipxe', options.ipxe ?? around.env.NIXIE_IPXE, true);
  const stateDir = folder('--state', options.state ?? defaultStateDir(around.uid, around.env), false);
  if (stateDir === undefined)
    no('--state', 'not given, and neither XDG_STATE_HOME nor HOME says where; accepted: a folder');
  const out = folder('--out', options.out ?? 'nixie-inventory', false)!;
  const there = join(out, 'hosts.json');
  // It may be the operator's own by now.
  if (around.look(there) !== undefined)
    no('--out', `found ${there}, which is not overwritten; accepted: a folder without one`);

  const milliseconds = options.for === undefined ? undefined : readDuration(options.for);
  if (options.for !== undefined && milliseconds === undefined)
    no('--for', `found ${show(options.for)}, accepted: a duration like 90s, 10m or 1h30m, up to 7 days`);
  const count =
    options.count === undefined ? undefined : /^[0-9]{1,5}$/.test(options.count) ? Number(options.count) : 0;
  if (count !== undefined && (count < 1 || count > mostMachines))
    no('--count', `found ${show(options.count)}, accepted: a number from 1 to ${mostMachines}`);

  if (problems.length > 0) return { ok: false, problems };
  return {
    ok: true,
    run: {
      allowed: { hosts, prefixes },
      ask: hosts.length === 0 && prefixes.length === 0,
      installers,
      flake: flake!,
      ...(options.address !== undefined && { address: options.address }),
      interfaces: [...new Set(options.interface ?? [])],
      dhcp,
      subnets,
      ...(ipxeDir !== undefined && { ipxeDir }),
      stateDir: stateDir!,
      out: isAbsolute(out) ? out : join(around.cwd, out),
      ...(milliseconds !== undefined && { milliseconds }),
      ...(count !== undefined && { count }),
      json: options.json ?? false,
      debug: options.debug ?? false,
      buildTimeoutSeconds: Number(options[buildTimeoutKey] ?? defaultBuildTimeoutSeconds),
    },
  };
}

/** In one run, whoever they are. */
export const mostMachines = 4096;

/** One to six octets with colons, dashes or nothing between; empty is everything. */
function readPrefix(word: string): string | undefined {
  const digits = word.toLowerCase().replace(/[:-]/g, '');
  if (!/^(?:[0-9a-f]{2}){0,6}$/.test(digits) || !/^[0-9a-fA-F]*(?:[:-][0-9a-fA-F]+)*[:-]?$/.test(word))
    return undefined;
  return digits.replace(/(..)(?=.)/g, '$1:');
}

/** The host of the file that has this MAC; `'any'` where --any allows it; undefined: it is not answered. */
export function allowedAs({ hosts, prefixes }: Allowed, mac: Mac): Host | 'any' | undefined {
  const listed = hosts.find(({ macs }) => macs.includes(mac));
  return listed ?? (prefixes.some((prefix) => mac.startsWith(prefix)) ? 'any' : undefined);
}
