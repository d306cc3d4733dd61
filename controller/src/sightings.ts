// What the front doors saw of machines, on its way to the core and to those who watch. Strangers may knock as often as they like: of what belongs
// to no machine of the run only a share is told.
import { leasedBehind, leasedTo, type NetworkPlan } from './core/network.ts';
import type { Whereabouts } from './core/whereabouts.ts';
import type { Seen } from './listen/seen.ts';
import { TokenBucket } from './listen/token-bucket.ts';
import type { RunEvent } from './machine/event.ts';
import type { Happening } from './machine/life.ts';
import type { Mac } from './machine/mac.ts';
import type { Stage } from './machine/stage.ts';
import type { StrangerBook } from './machine/stranger.ts';

export interface SightingsWorld {
  readonly hostOfMac: { get(mac: Mac, relay?: string): string | undefined };
  stageOf(host: string): Stage | undefined;
  happened(host: string, happening: Happening): void;
  emit(event: RunEvent): void;
  warn(text: string, host?: string): void;
  network(): NetworkPlan;
  /** Takes another plan in which this address is nobody's; the plan that holds from now on. */
  avoid(address: string): NetworkPlan;
  /** Who asks to boot and is none of ours. Absent: nobody wants to know. */
  readonly strangers?: Pick<StrangerBook, 'heard'>;
  /** Where machines are by DHCP. Absent: nobody remembers. */
  readonly whereabouts?: Pick<Whereabouts, 'heard'>;
  /** Milliseconds of the wall clock. */
  now(): number;
  /** Milliseconds of a clock that nobody sets. */
  ticks(): number;
}

export function makeSightings(world: SightingsWorld): (seen: Seen) => void {
  const strangers = new TokenBucket(100, 20);
  const told = new Set<string>();
  return (seen) => {
    const { mac, kind, why } = seen;
    const host = seen.machine ?? (mac === undefined ? undefined : world.hostOfMac.get(mac, seen.relay));
    if (seen.stranger !== undefined && mac !== undefined && host === undefined)
      world.strangers?.heard(
        mac,
        {
          ...seen.stranger,
          ...(seen.interface && { interface: seen.interface }),
          ...(seen.relay && { relay: seen.relay }),
        },
        world.now(),
      );
    if (host === undefined && kind !== 'dhcp-flood' && !strangers.take(world.ticks())) return;
    const detail = [why, seen.detail].filter((part) => part !== undefined).join(': ');
    world.emit({
      event: 'seen',
      at: new Date(seen.at ?? world.now()).toISOString(),
      kind,
      ...(host === undefined ? {} : { host }),
      ...(mac === undefined ? {} : { mac }),
      ...(seen.relay === undefined ? {} : { relay: seen.relay }),
      ...(seen.interface === undefined ? {} : { interface: seen.interface }),
      ...(seen.giaddr === undefined ? {} : { giaddr: seen.giaddr }),
      ...(detail === '' ? {} : { detail }),
    });
    if (kind === 'dhcp-silent' && why === 'declined') declined(world, seen);
    // A relay tells of its own networks, which are none that DHCP messages reach us from.
    if (host !== undefined && mac !== undefined && seen.relay === undefined) {
      const ofRelay = relayWarning(world, seen);
      if (ofRelay !== undefined && told.size < mostTold && !told.has(ofRelay)) {
        told.add(ofRelay);
        world.warn(ofRelay, host);
      }
      if (seen.interface !== undefined && takesPlace(seen))
        world.whereabouts?.heard(mac, { ...seen, interface: seen.interface });
    }
    const stage = host === undefined ? undefined : world.stageOf(host);
    if (host !== undefined && (stage === 'waking' || stage === 'restarting') && asksToBoot(seen))
      world.happened(host, { kind: 'firmware-asked' });
  };
}

/** Of one that is answered nowhere else: what a refusal says of an address, the machine doesn't take. */
function takesPlace({ kind, asked, why }: Seen): boolean {
  if (kind !== 'dhcp-answered' && kind !== 'dhcp-silent') return false;
  if (why === 'address refused' || why === 'another network') return false;
  return asked === 'DISCOVER' || asked === 'REQUEST';
}

/** Relays that are told of, each for what is wrong with it. */
const mostTold = 256;

function relayWarning(
  world: SightingsWorld,
  { kind, giaddr, undeclared, why, detail, interface: name }: Seen,
): string | undefined {
  if (giaddr === undefined) return undefined;
  if (kind === 'dhcp-unsent')
    return `answers don't reach the relay ${giaddr}, which asks by ${name}: ${detail}; this computer needs a route to it by ${name}`;
  if (undeclared !== true) return undefined;
  const own = world.network().interfaces.find((each) => each.name === name)?.address;
  const silent = why === 'undeclared subnet';
  return `a relay passes on what machines ask at ${giaddr}, and no declared subnet has that address: ${
    silent ? 'they get no answer' : `their boot files are offered from ${own ?? 'here'}`
  }; declare it in the hosts file, like "$subnets": [{"cidr": "${networkGuess(giaddr)}"}]`;
}

/** Most networks have 24 bits. */
function networkGuess(address: string): string {
  return address.replace(/\d+$/, '0/24');
}

/** A machine found that somebody else has the address that we gave it. Believed only of the address that it was given. */
function declined(world: SightingsWorld, { mac, detail: address, relay }: Seen): void {
  if (mac === undefined || address === undefined) return;
  const leased = (plan: NetworkPlan) => (relay === undefined ? leasedTo(plan, mac) : leasedBehind(plan, relay, mac));
  const before = leased(world.network());
  if (!before.includes(address)) return;
  const other = leased(world.avoid(address)).find((each) => !before.includes(each));
  const instead = other === undefined ? 'there is no other for it' : `it gets ${other} instead`;
  world.warn(
    `another machine uses ${address}, the address of ${mac}, which declined it: ${instead}; is a second DHCP server on this network?`,
    world.hostOfMac.get(mac, relay),
  );
}

/** Firmware or iPXE that wants a boot file; an operating system that renews its lease gets none and is no sign of a network boot. */
function asksToBoot({ kind, detail }: Seen): boolean {
  return kind === 'tftp-started' || kind === 'tftp-probed' || (kind === 'dhcp-answered' && detail !== undefined);
}
