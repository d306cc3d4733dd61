// Where a machine is by now: its MACs looked for on every provisioning interface. One poke of a subnet serves all who ask meanwhile.
import { findByMac, neighbours, pokeSubnet, widestPrefix } from '../install/find.ts';
import type { Mac } from '../machine/mac.ts';

export interface Segment {
  readonly name: string;
  readonly address: string;
  readonly prefixLength: number;
}

export interface Finder {
  /** Addresses at which any of the MACs answers now, the likeliest first. */
  find(macs: readonly Mac[], signal?: AbortSignal): Promise<string[]>;
  /** The MAC that the neighbour table has for an address on any of our interfaces. */
  macOf(address: string): Promise<Mac | undefined>;
}

/** A poke that is younger than this is not repeated, milliseconds. */
const freshMs = 3000;

/** @param now milliseconds of a clock that nobody sets */
export function makeFinder(segments: readonly Segment[], now: () => number): Finder {
  const pokes = new Map<string, { at: number; done: Promise<void> }>();

  const poke = (segment: Segment): Promise<void> => {
    const last = pokes.get(segment.name);
    if (last !== undefined && now() - last.at < freshMs) return last.done;
    const cidr = `${segment.address}/${Math.max(segment.prefixLength, widestPrefix)}`;
    // Answers to the last datagrams need a moment.
    const done = pokeSubnet(cidr).then(() => new Promise<void>((resolve) => setTimeout(resolve, 500)));
    pokes.set(segment.name, { at: now(), done });
    return done;
  };

  return {
    async find(macs, signal) {
      const found = await Promise.all(
        segments.map(async (segment) => {
          await poke(segment);
          if (signal?.aborted) return [];
          return await findByMac({ macs, interfaceName: segment.name });
        }),
      );
      return [...new Set(found.flat())];
    },
    async macOf(address) {
      for (const segment of segments) {
        const entry = (await neighbours(segment.name)).find((each) => each.address === address);
        if (entry !== undefined) return entry.mac;
      }
      return undefined;
    },
  };
}
