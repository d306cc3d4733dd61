// What a boot thread and the rest of the program say to each other.
import type { Scene } from '../answer/scene.ts';
import type { AddressUse } from './address-users.ts';
import type { DhcpCounters } from './dhcp.ts';
import type { SeenBatch } from './seen.ts';
import type { TftpCounters } from './tftp.ts';

/** Descriptors opened by the main thread, where errors can be reported at once; a boot thread takes them over. */
export interface OpenDoor {
  readonly interface: string;
  readonly address: string;
  readonly port: number;
  /** Bound to 0.0.0.0, hears broadcasts; absent where one socket does both. */
  readonly any?: number;
  /** Answers leave by it. Bound to our address, if not by another who opened it. */
  readonly own: number;
}

export function descriptorsOf({ own, any }: OpenDoor): number[] {
  return any === undefined ? [own] : [own, any];
}

export interface BootThreadData {
  readonly scene: Scene;
  readonly loaderFiles: ReadonlyMap<string, Uint8Array>;
  /** bytes, by interface */
  readonly mtus: Readonly<Record<string, number>>;
  readonly doors: readonly OpenDoor[];
}

export type ToThread =
  | {
      readonly kind: 'scene';
      readonly id: number;
      readonly scene: Scene;
      /** Absent: they stay as they are. */
      readonly loaderFiles?: ReadonlyMap<string, Uint8Array>;
    }
  /** `tell`: what was seen so far, now. */
  | { readonly kind: 'counters' | 'tell' | 'close'; readonly id: number };

export type FromThread =
  | ({ readonly kind: 'seen'; readonly uses: readonly AddressUse[] } & SeenBatch)
  /** Id 0: everything is open. Else it comes behind all that was seen before. */
  | { readonly kind: 'done'; readonly id: number }
  | { readonly kind: 'counters'; readonly id: number; readonly dhcp: DhcpCounters; readonly tftp: TftpCounters };
