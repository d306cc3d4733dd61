// Whose MAC is at an address of the relay's own networks. Two of them may be the same private network with other machines: then only the interface
// tells which machine it is.
import { readFileSync } from 'node:fs';
import { parseNeighbours } from '../install/find.ts';
import type { Mac } from '../machine/mac.ts';
import type { OwnLink } from './plan.ts';

/** Where it was seen: the interface, or the relay's address that it reached. */
export type SeenOn = { readonly interface: string } | { readonly ours: string };

export type MacAt = (address: string, on?: SeenOn) => Mac | undefined;

const kernelTable = (): string => {
  try {
    return readFileSync('/proc/net/arp', 'utf8');
  } catch {
    return '';
  }
};

/** Undefined: the kernel doesn't know, or two networks have the address and nobody said which is meant. */
export function makeMacAt(links: readonly OwnLink[], table: () => string = kernelTable): MacAt {
  const own = new Set(links.map(({ name }) => name));
  return (address, on) => {
    const only =
      on === undefined
        ? undefined
        : 'interface' in on
          ? on.interface
          : links.find((link) => link.address === on.ours)?.name;
    const macs = parseNeighbours(table()).flatMap((each) =>
      each.address === address && (only === undefined ? own.has(each.interfaceName) : each.interfaceName === only)
        ? [each.mac]
        : [],
    );
    return new Set(macs).size === 1 ? macs[0] : undefined;
  };
}
