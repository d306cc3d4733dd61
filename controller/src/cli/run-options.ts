// The options of commands that work on hosts and a flake, as commander takes them. What they mean is read in config/flags.ts.
import { type Command, Option } from 'commander';
import { defaultJobs } from '../config/run-config.ts';
import { timeouts } from '../config/timeouts.ts';
import { ends, waySteps } from '../machine/stage.ts';

/** What a shell may offer after an option; see completion.ts. */
export type Offer = 'file' | 'folder' | 'interface' | 'host' | readonly string[];

/** By long name without `--`, for all commands. */
export const offers: Readonly<Record<string, Offer>> = {
  flake: 'folder',
  installer: 'folder',
  hosts: 'file',
  'ssh-key': 'file',
  interface: 'interface',
  dhcp: ['proxy', 'off', 'range='],
  ipxe: 'folder',
  'nixos-anywhere': 'file',
  state: 'folder',
  'log-dir': 'folder',
  'inventory-dir': 'folder',
  out: 'folder',
  'known-hosts': 'file',
  token: 'file',
  stage: [...waySteps, ...ends],
  format: ['table', 'json', 'facter', 'runtime-info', 'nix'],
  only: 'host',
  reinstall: 'host',
};

export const several = (flags: string, description: string) =>
  new Option(flags, `${description} (may be repeated)`).argParser(
    (value: string, before: readonly string[] | undefined) => [...(before ?? []), value],
  );
const one = (flags: string, description: string) => new Option(flags, description);

export const hostsOption = () => one('--hosts <file>', 'hosts file: {"machine1": {"mac_address": "…"}}');
export const interfaceOption = () => several('--interface <name>', 'network interface to use');
export const addressOption = () => one('--address <ip>', 'IPv4 address of this machine to use');
export const ipxeOption = () => one('--ipxe <dir>', "folder with iPXE's snponly.efi, undionly.kpxe, snponly-arm64.efi");
export const dhcpOption = () =>
  one('--dhcp <mode>', 'proxy: beside another DHCP server; range=FROM-TO: as the only one; off (default: proxy)');
export const stateOption = () =>
  one('--state <dir>', 'where to keep state (default: /var/lib/nixie as root, else $XDG_STATE_HOME/nixie)');
export const logDirOption = () =>
  one('--log-dir <dir>', 'where each run has a folder of log files (default: logs in the state folder)');
export const jsonOption = (what: string) => one('--json', what);

/** Options that `check` understands as well. */
export function addConfigOptions(command: Command): Command {
  return command
    .addOption(several('--installer <ref>', "installer's flake reference; SYSTEM=REF for each of several platforms"))
    .addOption(one('--flake <ref>', 'flake whose nixosConfigurations are installed'))
    .addOption(hostsOption())
    .addOption(one('--ssh-key <file>', 'your SSH key, also let in to the installer and tried for the proof'))
    .addOption(several('--only <host>', 'leave the other hosts of the file alone'))
    .addOption(stateOption())
    .addOption(jsonOption('print one JSON object a line'))
    .addOption(one('--debug', 'show logs and what is seen on the wire'));
}

/** Without a value every machine. */
const anyOption = () =>
  new Option('--any [mac]', 'machines of no hosts file, too: all, or those whose MAC begins so (may be repeated)')
    .preset('')
    .argParser((value: string, before: readonly string[] | undefined) => [...(before ?? []), value]);

/** Options that only an installation has. */
export function addInstallOptions(command: Command): Command {
  const group = 'Reading machines instead:';
  const reading = (option: Option) => option.helpGroup(group);
  return addRunOptions(command)
    .addOption(one('--dry-run', 'evaluate and build, say what would be done; no socket is opened, nothing is woken'))
    .addOption(
      reading(one('--inventory-only', 'boot machines that ask, read them, switch them off; write a hosts.json')),
    )
    .addOption(reading(anyOption()))
    .addOption(reading(one('--for <duration>', 'end after this time, like 30m')))
    .addOption(reading(one('--count <n>', 'end after so many machines')))
    .addOption(reading(one('--out <dir>', 'where to write (default: nixie-inventory)')));
}

/** Options of all that installs. */
export function addRunOptions(command: Command): Command {
  addConfigOptions(command)
    .addOption(several('--reinstall <host>', "this host's disks may be overwritten although they hold data"))
    .addOption(addressOption())
    .addOption(interfaceOption())
    .addOption(dhcpOption())
    .addOption(
      one(
        '--relay-listen <ip[:port]>',
        'where relays connect to (default: TCP 7482 of each address that machines are served from)',
      ),
    )
    .addOption(ipxeOption())
    .addOption(one('--nixos-anywhere <path>', 'the program to use (default: from PATH)'))
    .addOption(logDirOption())
    .addOption(
      one('--inventory-dir <dir>', 'NAME/inventory.json in it is what was recorded of a host: differences are told'),
    )
    .addOption(one('--strict-hardware', 'refuse machines whose hardware is not what was recorded'))
    .addOption(one('--no-cache', 'no binary cache: closures are pushed over ssh, and nobody can read them by HTTP'))
    .addOption(one('--known-hosts <file>', 'add the proved SSH host keys to this file'))
    .addOption(one('--jobs <n>', `installs that run at the same time (default: ${defaultJobs})`));
  for (const { option, description } of timeouts)
    command.addOption(one(`${option} <seconds>`, description).helpGroup('Time limits:'));
  return command;
}
