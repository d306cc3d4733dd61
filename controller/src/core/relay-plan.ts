// The boot plan of one relay: all by which it answers its machines by itself. Derived anew from settings and lives at every change, never edited. Pure.
import {
  type BootPlan,
  DhcpMode,
  type FileRef,
  type PlanInterface,
  type PlanLoader,
  type PlanMachine,
  PlanOffer,
  type RelayInterface,
} from '@nixie/proto/relay';
import type { Host, System } from '../machine/host.ts';
import { type Life, offerIn } from '../machine/life.ts';
import type { Mac } from '../machine/mac.ts';
import { inSubnet } from '../machine/subnet.ts';
import type { Installer } from '../nix/types.ts';
import { filesOf } from './installer-files.ts';
import type { PlannedSubnet } from './network.ts';

export interface RelayPlanParts {
  readonly relay: string;
  /** The relay's own cards. */
  readonly interfaces: readonly RelayInterface[];
  /** Of the run; only its own are told to the relay. */
  readonly hosts: readonly Host[];
  life(host: string): Life | undefined;
  leaving(host: string): boolean;
  /** Its installer runs and was heard a moment ago: whoever asks for a script with its MAC has to wait. */
  alive(host: string): boolean;
  readonly installers: ReadonlyMap<System, Installer>;
  readonly loaders: readonly PlanLoader[];
  /** Tokens for boots to come. */
  tokens(host: string, mac: Mac): readonly string[];
  readonly subnets: readonly PlannedSubnet[];
  readonly fingerprint: string;
  readonly httpPort: number;
  readonly agentPort: number;
  /** Empty: there is no binary cache. */
  readonly cacheKey: string;
  /** Machines that may load at once. */
  readonly loads: number;
}

/** Half a day, as on our own networks. */
const leaseSeconds = 12 * 3600;

const offers = {
  installer: PlanOffer.PLAN_OFFER_INSTALLER,
  local: PlanOffer.PLAN_OFFER_LOCAL,
  silent: PlanOffer.PLAN_OFFER_SILENT,
} as const;

export function makeRelayPlan(parts: RelayPlanParts): Omit<BootPlan, 'version'> {
  const hosts = parts.hosts.filter(({ relay }) => relay === parts.relay);
  const subnets = parts.subnets.filter(({ subnet }) => subnet.relay === parts.relay);
  const machines = hosts.map((host) => machine(host, subnets, parts));
  const wanted = new Set(
    machines
      .filter(({ offer }) => offer === PlanOffer.PLAN_OFFER_INSTALLER || offer === PlanOffer.PLAN_OFFER_WAIT)
      .map(({ system }) => system),
  );
  const systems = new Set(hosts.map(({ system }) => system));
  const installers = [...parts.installers.values()]
    .filter(({ system }) => systems.has(system))
    .map((installer) => {
      const { kernel, initrd, image, system } = installer;
      const { kernelParams, needsBytes } = filesOf(installer);
      return {
        system,
        kernel: fileRef(kernel),
        initrd: fileRef(initrd),
        kernelParams: [...kernelParams],
        needsBytes: BigInt(needsBytes),
        image: image && fileRef(image.file),
        imageManifest:
          image && fileRef({ sha256: image.manifest.sha256, bytes: Buffer.byteLength(image.manifest.text) }),
      };
    });
  return {
    fingerprint: parts.fingerprint,
    httpPort: parts.httpPort,
    agentPort: parts.agentPort,
    interfaces: parts.interfaces.map((each) => planInterface(each, subnets)),
    machines,
    installers,
    loaders: [...parts.loaders],
    // Only of systems that somebody waits for.
    ahead: installers
      .filter(({ system }) => wanted.has(system))
      .flatMap(({ kernel, initrd, image, imageManifest }) => [kernel, initrd, imageManifest, image])
      .filter((file) => file !== undefined),
    cacheKey: parts.cacheKey,
    loads: parts.loads,
  };
}

function fileRef({ sha256, bytes }: { readonly sha256: string; readonly bytes: number }): FileRef {
  return { sha256, bytes: BigInt(bytes) };
}

function machine(host: Host, subnets: readonly PlannedSubnet[], parts: RelayPlanParts): PlanMachine {
  const life = parts.life(host.name);
  const decided = life === undefined || parts.leaving(host.name) ? 'silent' : offerIn(life.stage);
  const waits = decided === 'installer' && parts.alive(host.name);
  return {
    name: host.name,
    system: host.system,
    offer: waits ? PlanOffer.PLAN_OFFER_WAIT : offers[decided],
    boot: [...host.boot],
    cards: host.macs.map((mac) => ({
      mac,
      address: addressOf(host, mac, subnets) ?? '',
      tokens: decided === 'installer' ? [...parts.tokens(host.name, mac)] : [],
    })),
  };
}

/** One for each card: a machine that may be in several subnets with ranges gets none unless it says which is its own. */
function addressOf(host: Host, mac: Mac, subnets: readonly PlannedSubnet[]): string | undefined {
  const mine = subnets.filter(({ key, subnet }) => subnet.range !== undefined && (host.subnet ?? key) === key);
  return mine.length === 1 ? mine[0]!.addresses[mac] : undefined;
}

function planInterface({ name, address }: RelayInterface, subnets: readonly PlannedSubnet[]): PlanInterface {
  const own = subnets.find(({ subnet }) => inSubnet(address, subnet))?.subnet;
  return {
    name,
    dhcp: own?.range === undefined ? DhcpMode.DHCP_MODE_PROXY : DhcpMode.DHCP_MODE_RANGE,
    router: own?.range === undefined ? '' : (own.router ?? ''),
    dns: own?.range === undefined ? [] : [...(own.dns ?? [])],
    leaseSeconds,
  };
}
