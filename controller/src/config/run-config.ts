// All that the operator decided about one run, checked: what the daemon is built from. Made by flags.ts only.
import type { Host, System } from '../machine/host.ts';
import type { Endpoint } from '../machine/relay.ts';
import type { WayStep } from '../machine/stage.ts';
import type { Subnet } from '../machine/subnet.ts';

/** `--dhcp`: beside another server, as the only server with a pool (both ends included), or not at all. */
export type DhcpSetting =
  | { readonly mode: 'proxy' }
  | { readonly mode: 'range'; readonly from: string; readonly to: string }
  | { readonly mode: 'off' };

/** The operator's key, added to those that may log in to the installer, and tried for the proof. */
export interface SshKey {
  /** Absolute path of the file given. */
  readonly path: string;
  /** `private`: can be given to `ssh -i`. `public`: only names a key that the operator's ssh-agent holds. */
  readonly kind: 'private' | 'public';
  /** `ssh-ed25519 AAAA…` without comment. */
  readonly publicKey: string;
}

export interface RunConfig {
  /** The hosts of this run: all of the file, or those named by `--only`. In the order of the file. */
  readonly hosts: readonly Host[];
  /** All hosts of the file: a MAC of a host that is left out is known, but isn't served. */
  readonly allHosts: readonly Host[];
  /** Absolute. */
  readonly hostsFile: string;
  /** Flake reference with attribute, as written, for each system that `hosts` has. */
  readonly installers: Readonly<Partial<Record<System, string>>>;
  /** Flake reference as written, without attribute. */
  readonly flake: string;
  readonly sshKey?: SshKey;
  /** Our own IPv4 address that machines shall be told, when the interface has several. */
  readonly address?: string;
  /** Empty: those that face the network are chosen. */
  readonly interfaces: readonly string[];
  readonly dhcp: DhcpSetting;
  /** Of the hosts file, in its order. */
  readonly subnets: readonly Subnet[];
  /** Where relays connect to. Absent: at every address of ours that machines are served from. */
  readonly relayListen?: Endpoint;
  /** Absolute; iPXE binaries there are used in place of the platform's. */
  readonly ipxeDir?: string;
  /** Absolute path of the program; absent: the one on PATH. */
  readonly nixosAnywhere?: string;
  /** Absolute. Not made yet: see state-dir.ts. */
  readonly stateDir: string;
  /** Absolute. Each run makes a folder of log files in it. */
  readonly logDir: string;
  /** Absolute; `NAME/inventory.json` in it is what was recorded of a host, unless its entry says where that is. */
  readonly inventoryDir?: string;
  /** Hardware that isn't what was recorded is not installed. */
  readonly strictHardware: boolean;
  /** Machines may fetch what they lack from our binary cache. */
  readonly cache: boolean;
  /** Absolute; proved host keys are added there. */
  readonly knownHosts?: string;
  /** How many installs write at the same time. */
  readonly jobs: number;
  /** Names of hosts whose disks may be overwritten in this run although they hold data. */
  readonly reinstall: ReadonlySet<string>;
  readonly json: boolean;
  readonly debug: boolean;
  /** Evaluate, build and say what would be done; open no socket, wake nobody. */
  readonly dryRun: boolean;
  /** Seconds; what is absent keeps the value of machine/life.ts. */
  readonly patience: Readonly<Partial<Record<WayStep, number>>>;
  /** Seconds for evaluating and building everything. */
  readonly buildTimeoutSeconds: number;
}

/** Installs that run at the same time. */
export const defaultJobs = 16;
