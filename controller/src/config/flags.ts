// The options of `nixie install` and `nixie check` → a RunConfig, or everything that is wrong with them and the files they name at once.
import { isAbsolute, join, resolve } from 'node:path';
import type { Host, System } from '../machine/host.ts';
import { parseEndpoint } from '../machine/relay.ts';
import type { WayStep } from '../machine/stage.ts';
import { inSubnet } from '../machine/subnet.ts';
import { parseHosts } from './hosts.ts';
import { isHostIpv4, parseIpv4 } from './ipv4.ts';
import { nearest, type Problem, show } from './problem.ts';
import { readRecorded, recordedFile } from './recorded-inventory.ts';
import { type DhcpSetting, defaultJobs, type RunConfig, type SshKey } from './run-config.ts';
import { readKeyFile } from './ssh-key.ts';
import { defaultStateDir } from './state-dir.ts';
import { buildTimeoutKey, defaultBuildTimeoutSeconds, timeouts } from './timeouts.ts';

/** Options as the command line gives them: every value is text still. Time limits stand under the keys of timeouts.ts. */
export interface InstallOptions {
  readonly installer?: readonly string[];
  readonly flake?: string;
  readonly hosts?: string;
  readonly sshKey?: string;
  readonly address?: string;
  readonly interface?: readonly string[];
  readonly dhcp?: string;
  readonly ipxe?: string;
  readonly nixosAnywhere?: string;
  readonly state?: string;
  readonly logDir?: string;
  readonly inventoryDir?: string;
  readonly strictHardware?: boolean;
  /** False: `--no-cache`. */
  readonly cache?: boolean;
  readonly knownHosts?: string;
  readonly jobs?: string;
  readonly only?: readonly string[];
  readonly reinstall?: readonly string[];
  readonly json?: boolean;
  readonly debug?: boolean;
  readonly dryRun?: boolean;
  readonly relayListen?: string;
  readonly [timeout: `${string}Timeout`]: string | undefined;
}

export interface FileFacts {
  readonly kind: 'file' | 'folder' | 'other';
  readonly mode: number;
  readonly uid: number;
}

/** What of this computer the answer depends on. */
export interface Surroundings {
  readonly cwd: string;
  readonly uid: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Throws with `code`, as node:fs does. */
  readonly readFile: (path: string) => Uint8Array;
  /** Links followed; undefined when there is nothing. */
  readonly look: (path: string) => FileFacts | undefined;
}

export type ConfigResult =
  | { readonly ok: true; readonly config: RunConfig; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly problems: readonly Problem[] };

const systemPrefix = /^([a-z0-9_]+-(?:linux|darwin|freebsd))=/;

/** `needs: 'check'` asks for no installer. Reads the hosts file and the key; writes nothing. */
export function readInstallOptions(
  options: InstallOptions,
  around: Surroundings,
  needs: 'install' | 'check',
): ConfigResult {
  const problems: Problem[] = [];
  const warnings: string[] = [];
  const no = (where: string, text: string) => void problems.push({ where, text });
  const path = (given: string) => resolve(around.cwd, given.replace(/^~(?=\/|$)/, around.env.HOME ?? '~'));

  const hostsFile = options.hosts === undefined ? undefined : path(options.hosts);
  if (hostsFile === undefined) no('--hosts', 'not given; accepted: the hosts file, like --hosts ./hosts.json');
  const read = hostsFile === undefined ? undefined : readHostsFile(hostsFile, options.hosts!, around);
  if (read?.ok === false) problems.push(...read.problems);
  const allHosts = read?.ok === true ? read.hosts : undefined;
  const subnets = read?.ok === true ? read.subnets : [];

  if (options.flake === undefined) no('--flake', 'not given; accepted: a flake reference, like --flake ./examples');
  else if (options.flake === '' || options.flake.includes('#'))
    no('--flake', `found ${show(options.flake)}, accepted: a flake reference without "#…"; hosts are found by name`);

  const named = (option: '--only' | '--reinstall', names: readonly string[] = []): readonly string[] => {
    if (allHosts === undefined) return names;
    const known = allHosts.map(({ name }) => name);
    for (const name of new Set(names)) {
      if (known.includes(name)) continue;
      const guess = nearest(name, known);
      const hint = guess === undefined ? `a host of ${options.hosts}: ${some(known)}` : `did you mean ${show(guess)}?`;
      no(option, `found ${show(name)}, which is no host; ${guess === undefined ? 'accepted: ' : ''}${hint}`);
    }
    return names;
  };
  const only = new Set(named('--only', options.only));
  const reinstall = new Set(named('--reinstall', options.reinstall));
  const hosts = only.size === 0 ? (allHosts ?? []) : (allHosts ?? []).filter(({ name }) => only.has(name));
  if (allHosts !== undefined)
    for (const name of reinstall)
      if (only.size > 0 && !only.has(name) && allHosts.some((host) => host.name === name))
        no('--reinstall', `found ${show(name)}, which --only leaves out`);

  const installers = readInstallers(options.installer ?? [], hosts, needs, no);
  const sshKey =
    options.sshKey === undefined ? undefined : readSshKey(options.sshKey, path(options.sshKey), around, no);
  const dhcp = readDhcp(options.dhcp ?? 'proxy', no);
  if (dhcp.mode !== 'range')
    for (const { name, address } of hosts)
      if (address !== undefined && !subnets.some((each) => each.range !== undefined && inSubnet(address, each)))
        warnings.push(
          `${name}: its address ${address} is given out only with --dhcp range=FROM-TO${subnets.length > 0 ? ', or in a subnet that has a range' : ''}`,
        );
  if (dhcp.mode === 'off' && subnets.some(({ range, relay }) => range !== undefined && relay === undefined))
    warnings.push('--dhcp off: in subnets behind foreign relays nobody is answered either, whatever their range');

  if (options.address !== undefined) checkAddress(options.address, no);
  const relayListen = options.relayListen === undefined ? undefined : parseEndpoint(options.relayListen);
  if (options.relayListen !== undefined && (relayListen === undefined || parseIpv4(relayListen.host) === undefined))
    no(
      '--relay-listen',
      `found ${show(options.relayListen)}, accepted: an IPv4 address of this computer, or one with a port like 0.0.0.0:7482`,
    );
  for (const name of options.interface ?? [])
    if (!/^[^\s/\u0000-\u001f]{1,15}$/.test(name) || name === '.' || name === '..')
      no('--interface', `found ${show(name)}, accepted: the name of a network interface, as \`ip link\` shows it`);

  const place = (option: string, given: string | undefined, wanted: FileFacts['kind'], executable = false) => {
    if (given === undefined) return undefined;
    const full = path(given);
    const facts = around.look(full);
    const what = wanted === 'folder' ? 'a folder' : executable ? 'a program' : 'a file';
    if (facts === undefined) no(option, `found nothing at ${full}, accepted: ${what}`);
    else if (facts.kind !== wanted) no(option, `found no ${wanted} at ${full}, accepted: ${what}`);
    else if (executable && (facts.mode & 0o111) === 0)
      no(option, `found a file that is not executable at ${full}, accepted: ${what}`);
    return full;
  };
  // A package names the iPXE that it brings along; `nixie check` has no such option and asks for none.
  const ipxeDir = place('--ipxe', options.ipxe ?? (needs === 'check' ? undefined : around.env.NIXIE_IPXE), 'folder');
  const nixosAnywhere = place('--nixos-anywhere', options.nixosAnywhere, 'file', true);

  const inventoryDir = place('--inventory-dir', options.inventoryDir, 'folder');
  const strictHardware = options.strictHardware ?? false;
  if (hostsFile !== undefined)
    for (const host of hosts) {
      const wrong = unrecorded(host, { hostsFile, ...(inventoryDir && { inventoryDir }) }, strictHardware, around);
      if (wrong !== undefined) no(`${options.hosts}: ${host.name}`, wrong);
    }

  const knownHosts = options.knownHosts === undefined ? undefined : path(options.knownHosts);
  if (knownHosts !== undefined && (around.look(knownHosts)?.kind ?? 'file') !== 'file')
    no('--known-hosts', `found no file at ${knownHosts}, accepted: a file, there already or not`);
  const stateDir = options.state === undefined ? defaultStateDir(around.uid, around.env) : path(options.state);
  if (stateDir === undefined)
    no('--state', 'not given, and neither XDG_STATE_HOME nor HOME says where; accepted: a folder');
  else if ((around.look(stateDir)?.kind ?? 'folder') !== 'folder')
    no('--state', `found no folder at ${stateDir}, accepted: a folder, there already or not`);
  const logDir = options.logDir === undefined ? stateDir && join(stateDir, 'logs') : path(options.logDir);
  if (logDir !== undefined && (around.look(logDir)?.kind ?? 'folder') !== 'folder')
    no('--log-dir', `found no folder at ${logDir}, accepted: a folder, there already or not`);

  const count = (option: string, given: string | undefined, most: number, what: string): number | undefined => {
    if (given === undefined) return undefined;
    const value = /^[0-9]{1,9}$/.test(given) ? Number(given) : 0;
    if (value >= 1 && value <= most) return value;
    no(option, `found ${show(given)}, accepted: ${what} from 1 to ${most}`);
    return undefined;
  };
  const jobs = count('--jobs', options.jobs, 1000, 'a number') ?? defaultJobs;
  const patience: Partial<Record<WayStep, number>> = {};
  for (const { option, key, stages } of timeouts) {
    const seconds = count(option, options[key as `${string}Timeout`], 7 * 86_400, 'seconds');
    if (seconds !== undefined) for (const stage of stages) patience[stage] = seconds;
  }

  if (problems.length > 0 || allHosts === undefined) return { ok: false, problems };
  const config: RunConfig = {
    hosts,
    allHosts,
    hostsFile: hostsFile!,
    installers,
    flake: options.flake!,
    ...(sshKey !== undefined && { sshKey }),
    ...(options.address !== undefined && { address: options.address }),
    interfaces: [...new Set(options.interface ?? [])],
    dhcp,
    subnets,
    ...(relayListen !== undefined && { relayListen }),
    ...(ipxeDir !== undefined && { ipxeDir }),
    ...(nixosAnywhere !== undefined && { nixosAnywhere }),
    stateDir: stateDir!,
    logDir: logDir!,
    ...(inventoryDir !== undefined && { inventoryDir }),
    strictHardware,
    cache: options.cache ?? true,
    ...(knownHosts !== undefined && { knownHosts }),
    jobs,
    reinstall,
    json: options.json ?? false,
    debug: options.debug ?? false,
    dryRun: options.dryRun ?? false,
    patience,
    buildTimeoutSeconds: Number(options[buildTimeoutKey] ?? defaultBuildTimeoutSeconds),
  };
  return { ok: true, config, warnings };
}

/** What is wrong with the recorded inventory of a host. */
function unrecorded(
  host: Host,
  places: Parameters<typeof recordedFile>[1],
  strict: boolean,
  around: Surroundings,
): string | undefined {
  const found = recordedFile(host, places);
  if (found === undefined || (found.optional && around.look(found.file) === undefined))
    return strict
      ? `--strict-hardware: its hardware is not recorded${found === undefined ? '; accepted: "inventory" in its entry, or --inventory-dir' : ` at ${found.file}`}`
      : undefined;
  try {
    readRecorded(found.file, around.readFile);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** The hosts of a file that may not be there. `shown` is how the operator called it. */
export function readHostsFile(path: string, shown: string, around: Surroundings): ReturnType<typeof parseHosts> {
  try {
    return parseHosts(around.readFile(path), shown);
  } catch (error) {
    return { ok: false, problems: [{ where: '--hosts', text: `read ${path}: ${reasonOf(error)}` }] };
  }
}

/** @param hosts what of them an installer is chosen by */
export function readInstallers(
  given: readonly string[],
  hosts: readonly Pick<Host, 'name' | 'system'>[],
  needs: 'install' | 'check',
  no: (where: string, text: string) => void,
): Partial<Record<System, string>> {
  const option = '--installer';
  const result: Partial<Record<System, string>> = {};
  const anySystem: string[] = [];
  let understood = true;
  const wrong = (text: string) => {
    understood = false;
    no(option, text);
  };
  const accepted = 'a flake reference, like ./examples#nixosConfigurations.installer';
  for (const word of given) {
    const system = systemPrefix.exec(word)?.[1];
    const reference = system === undefined ? word : word.slice(system.length + 1);
    if (!/^(?=.)[^#\s]*(?:#[^#\s]*)?$/.test(reference)) wrong(`found ${show(word)}, accepted: ${accepted}`);
    else if (system === undefined) anySystem.push(reference);
    else if (system !== 'x86_64-linux' && system !== 'aarch64-linux')
      wrong(`found the system ${show(system)}, accepted: x86_64-linux=… or aarch64-linux=…`);
    else if (result[system] !== undefined) wrong(`found two for ${system}, accepted: one for each system`);
    else result[system] = reference;
  }
  const open = [...new Set(hosts.map(({ system }) => system))].filter((system) => result[system] === undefined);
  if (!understood) return result;
  if (anySystem.length > 1)
    no(option, `found ${anySystem.length} without a system, accepted: one, or each as SYSTEM=REF`);
  else if (anySystem.length === 1 && open.length > 1)
    no(
      option,
      `found one for hosts of ${open.join(' and ')}, accepted: one for each, as ${open.map((system) => `${system}=REF`).join(' ')}`,
    );
  else if (anySystem.length === 1) for (const system of open) result[system] = anySystem[0]!;
  else if (needs === 'install' && given.length === 0) no(option, `not given; accepted: ${accepted}`);
  else if (needs === 'install' && open.length > 0)
    no(
      option,
      `found none for ${open.join(' and ')} (${some(hosts.filter(({ system }) => open.includes(system)).map(({ name }) => name))}), accepted: ${open[0]}=REF`,
    );
  return result;
}

export function checkAddress(given: string, no: (where: string, text: string) => void): void {
  if (!isHostIpv4(parseIpv4(given) ?? 0))
    no('--address', `found ${show(given)}, accepted: an IPv4 address of this computer`);
}

/** `proxy`, `off` or `range=FROM-TO`; a problem otherwise. */
export function readDhcp(given: string, no: (where: string, text: string) => void): DhcpSetting {
  if (given === 'proxy' || given === 'off') return { mode: given };
  const [, from, to] = /^range=([^-]+)-([^-]+)$/.exec(given) ?? [];
  const [first, last] = [parseIpv4(from ?? ''), parseIpv4(to ?? '')];
  if (first === undefined || last === undefined)
    no('--dhcp', `found ${show(given)}, accepted: proxy, off, or range=FROM-TO like range=10.0.0.100-10.0.0.199`);
  else if (!isHostIpv4(first) || !isHostIpv4(last))
    no('--dhcp', `found ${show(given)}, accepted: addresses that machines can have`);
  else if (last < first)
    no('--dhcp', `found ${show(given)}, which ends before it begins; accepted: range=${to}-${from}`);
  else if (last - first >= 65_536)
    no('--dhcp', `found a range of ${last - first + 1} addresses, accepted: at most 65536`);
  else return { mode: 'range', from: from!, to: to! };
  return { mode: 'proxy' };
}

function readSshKey(
  given: string,
  path: string,
  around: Surroundings,
  no: (where: string, text: string) => void,
): SshKey | undefined {
  let bytes: Uint8Array;
  try {
    bytes = around.readFile(path);
  } catch (error) {
    no('--ssh-key', `read ${path}: ${reasonOf(error)}`);
    return undefined;
  }
  const key = readKeyFile(bytes);
  if (!key.ok) {
    no('--ssh-key', `found ${key.found} in ${given}, accepted: ${key.accepted}`);
    return undefined;
  }
  // ssh refuses a key of its own user that others can read, and says so only in its log.
  const facts = around.look(path);
  if (key.kind === 'private' && facts !== undefined && facts.uid === around.uid && (facts.mode & 0o077) !== 0)
    no(
      '--ssh-key',
      `found mode ${(facts.mode & 0o777).toString(8)} on ${given}, which ssh refuses; accepted: \`chmod 600 ${given}\``,
    );
  return { path: isAbsolute(path) ? path : join(around.cwd, path), kind: key.kind, publicKey: key.publicKey };
}

function some(names: readonly string[]): string {
  return names.length <= 8 ? names.join(', ') : `${names.slice(0, 8).join(', ')} and ${names.length - 8} more`;
}

function reasonOf(error: unknown): string {
  const code = (error as { code?: string }).code;
  const known: Readonly<Record<string, string>> = {
    ENOENT: 'there is no such file',
    EACCES: 'this user may not read it',
    EISDIR: 'it is a folder',
    ENOTDIR: 'a part of the path is no folder',
  };
  return known[code ?? ''] ?? (error as Error).message;
}
