// What the front doors saw of machines, on its way to the core and to those who watch. Strangers may knock as often as they like: of what belongs
// to no machine of the run only a share is told.
import type { NetworkPlan } from './core/network.ts';
import type { Seen } from './listen/seen.ts';
import { TokenBucket } from './listen/token-bucket.ts';
import type { RunEvent } from './machine/event.ts';
import type { Happening } from './machine/life.ts';
import type { Mac } from './machine/mac.ts';
import type { Stage } from './machine/stage.ts';
import type { StrangerBook } from './machine/stranger.ts';

export interface SightingsWorld {
  readonly hostOfMac: { get(mac: Mac): string | undefined };
  stageOf(host: string): Stage | undefined;
  happened(host: string, happening: Happening): void;
  emit(event: RunEvent): void;
  warn(text: string, host?: string): void;
  network(): NetworkPlan;
  /** Takes another plan in which this address is nobody's; the plan that holds from now on. */
  avoid(address: string): NetworkPlan;
  /** Who asks to boot and is none of ours. Absent: nobody wants to know. */
  readonly strangers?: Pick<StrangerBook, 'heard'>;
  /** Milliseconds of the wall clock. */
  now(): number;
  /** Milliseconds of a clock that nobody sets. */
  ticks(): number;
}

export function makeSightings(world: SightingsWorld): (seen: Seen) => void {
  const strangers = new TokenBucket(100, 20);
  return (seen) => {
    const { mac, kind, why } = seen;
    const host = seen.machine ?? (mac === undefined ? undefined : world.hostOfMac.get(mac));
    if (seen.stranger !== undefined && mac !== undefined && host === undefined)
      world.strangers?.heard(
        mac,
        { ...seen.stranger, ...(seen.interface && { interface: seen.interface }) },
        world.now(),
      );
    if (host === undefined && kind !== 'dhcp-flood' && !strangers.take(world.ticks())) return;
    const detail = [why, seen.detail].filter((part) => part !== undefined).join(': ');
    world.emit({
      event: 'seen',
      at: new Date(world.now()).toISOString(),
      kind,
      ...(host === undefined ? {} : { host }),
      ...(mac === undefined ? {} : { mac }),
      ...(seen.interface === undefined ? {} : { interface: seen.interface }),
      ...(detail === '' ? {} : { detail }),
    });
    if (kind === 'dhcp-silent' && why === 'declined') declined(world, seen);
    const stage = host === undefined ? undefined : world.stageOf(host);
    if (host !== undefined && (stage === 'waking' || stage === 'restarting') && asksToBoot(seen))
      world.happened(host, { kind: 'firmware-asked' });
  };
}

/** A machine found that somebody else has the address that we gave it. Believed only of the address that it was given. */
function declined(world: SightingsWorld, { mac, detail: address }: Seen): void {
  if (mac === undefined || address === undefined || world.network().addresses[mac] !== address) return;
  const other = world.avoid(address).addresses[mac];
  const instead = other === undefined || other === address ? 'there is no other for it' : `it gets ${other} instead`;
  world.warn(
    `another machine uses ${address}, the address of ${mac}, which declined it: ${instead}; is a second DHCP server on this network?`,
    world.hostOfMac.get(mac),
  );
}

/** Firmware or iPXE that wants a boot file; an operating system that renews its lease gets none and is no sign of a network boot. */
function asksToBoot({ kind, detail }: Seen): boolean {
  return kind === 'tftp-started' || kind === 'tftp-probed' || (kind === 'dhcp-answered' && detail !== undefined);
}
