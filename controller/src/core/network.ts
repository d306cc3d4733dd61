// Which role Nixie plays on each interface, and which address each MAC has where Nixie is the DHCP server. Decided before anything is served.
import type { SceneInterface } from '../answer/scene.ts';
import { assignAddresses } from '../machine/assignment.ts';
import type { Host } from '../machine/host.ts';
import type { Mac } from '../machine/mac.ts';

export interface Link {
  readonly name: string;
  readonly address: string;
  readonly prefixLength: number;
}

export type DhcpWish =
  | { readonly mode: 'proxy' }
  | { readonly mode: 'off' }
  | { readonly mode: 'range'; readonly from: string; readonly to: string };

export interface NetworkPlan {
  readonly interfaces: readonly SceneInterface[];
  readonly addresses: Readonly<Record<Mac, string>>;
}

/** Half a day: longer than an install, and short enough that an address comes free again. */
const leaseSeconds = 12 * 3600;

/**
 * With a range, the interface in whose subnet it lies is served as its only DHCP server; the others get no address from us.
 * @param declined addresses that a machine found to be somebody else's: given to nobody, unless the hosts file says so or the range has no others
 */
export function planNetwork(
  links: readonly Link[],
  wish: DhcpWish,
  hosts: readonly Host[],
  previous: Readonly<Record<Mac, string>>,
  declined: ReadonlySet<string> = new Set(),
): { plan: NetworkPlan } | { problems: readonly string[] } {
  const owner = wish.mode === 'range' ? links.find((link) => inSubnet(wish.from, link)) : undefined;
  if (wish.mode === 'range' && owner === undefined)
    return {
      problems: [
        `--dhcp range=${wish.from}-${wish.to}: none of the interfaces is in that subnet; there are ${links.map((link) => `${link.name} (${link.address}/${link.prefixLength})`).join(', ')}`,
      ],
    };
  const interfaces = links.map(
    (link): SceneInterface => ({
      name: link.name,
      address: link.address,
      prefixLength: link.prefixLength,
      dhcp: wish.mode === 'range' ? (link === owner ? 'range' : 'proxy') : wish.mode,
      dns: [],
      leaseSeconds,
    }),
  );
  if (wish.mode !== 'range' || owner === undefined) return { plan: { interfaces, addresses: {} } };
  const wanted = new Set(hosts.flatMap((host) => host.address ?? []));
  const assign = (avoid: readonly string[]) =>
    assignAddresses({
      hosts,
      address: owner.address,
      prefixLength: owner.prefixLength,
      range: wish,
      taken: [...links.map((link) => link.address), ...avoid],
      previous,
    });
  let assigned = assign([...declined].filter((address) => !wanted.has(address)));
  if (assigned.kind === 'problems' && declined.size > 0) assigned = assign([]);
  if (assigned.kind === 'problems') return { problems: assigned.problems.map((problem) => problem.text) };
  return { plan: { interfaces, addresses: assigned.addresses } };
}

export function inSubnet(address: string, link: Link): boolean {
  const number = (text: string) => text.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0);
  const size = 2 ** (32 - link.prefixLength);
  return Math.floor(number(address) / size) === Math.floor(number(link.address) / size);
}
