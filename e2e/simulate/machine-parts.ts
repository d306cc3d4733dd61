// What a simulated machine is made of, and what is to befall it.
import type { Host } from '../../controller/src/machine/host.ts';
import type { Disk } from './disk.ts';
import type { Fate } from './faults.ts';
import type { Network } from './network.ts';
import type { Random } from './random.ts';

export type Firmware = 'uefi' | 'bios' | 'http';

/** What runs on it. */
export type Os =
  | { readonly kind: 'off' | 'firmware' }
  | { readonly kind: 'installer'; readonly key: string; readonly bootId: string }
  | { readonly kind: 'system'; readonly key: string; readonly toplevel: string };

export interface MachineParts {
  readonly host: Host;
  readonly firmware: Firmware;
  readonly networkFirst: boolean;
  readonly disk: Disk;
  /** Another one, which holds data that nobody may lose. */
  readonly beside?: Disk;
  readonly fate: Fate;
  readonly random: Random;
  readonly network: Network;
  /** Path that the layout names. */
  readonly declaredDisk: string;
  readonly mayLoseData: boolean;
  /** Of its disk, as the operator recorded it: another one is not written to. Absent: it recorded none. */
  readonly recordedSerial?: string;
}
