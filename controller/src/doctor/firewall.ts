// What a firewall does to packets for us: rules as far as they are understood, walked in three-valued logic. What isn't understood can only make
// the answer "unknown", never a false "open" or "dropped".
import { addressNumber, maskNumber, parseAddress } from '../wire/dhcp4/address.ts';

export interface FirewallPacket {
  readonly interface: string;
  readonly protocol: 'udp' | 'tcp';
  readonly port: number;
  readonly fromPort: number;
  readonly from: string;
  readonly to: string;
}

export type Truth = 'yes' | 'no' | 'unknown';
export type Field = 'interface' | 'protocol' | 'port' | 'fromPort' | 'from' | 'to' | 'state' | 'family' | 'unknown';

/** One condition of a rule: the field has one of the values, or with `not` none of them. */
export interface Condition {
  readonly field: Field;
  readonly not?: boolean;
  /** Text or number; ranges of ports as `67-69`, networks as `10.0.0.0/8`, the beginning of an interface's name as `eth*`. */
  readonly values: readonly string[];
}

export type Verdict =
  | { readonly kind: 'accept' | 'drop' | 'return' }
  | { readonly kind: 'jump' | 'goto'; readonly chain: string };

export interface Rule {
  readonly conditions: readonly Condition[];
  readonly verdict: Verdict;
}

export interface Chain {
  readonly rules: readonly Rule[];
  /** Of chains that the kernel calls for packets to this computer. */
  readonly policy?: 'accept' | 'drop';
}

/** By name; names of different tables differ. */
export type Chains = ReadonlyMap<string, Chain>;

export type Fate = 'open' | 'dropped' | 'unknown';
type End = 'accept' | 'drop' | 'next';

/** Jumps nest at most so deep in the kernel (NFT_JUMP_STACK_SIZE). */
const deepest = 16;
/** Of a ruleset that branches without an end. */
const mostRules = 20_000;

/** Every chain that the kernel calls has to let it through. */
export function fateOf(packet: FirewallPacket, chains: Chains): Fate {
  const walked = { rules: 0 };
  const ends = [...chains.values()]
    .filter(({ policy }) => policy !== undefined)
    .map((chain) => {
      const possible = walk(packet, chain, chains, 0, walked);
      return new Set([...possible].map((end) => (end === 'next' ? chain.policy! : end)));
    });
  if (walked.rules > mostRules) return 'unknown';
  if (ends.some((possible) => possible.size === 1 && possible.has('drop'))) return 'dropped';
  return ends.every((possible) => !possible.has('drop')) ? 'open' : 'unknown';
}

/** All ends that are possible. */
function walk(
  packet: FirewallPacket,
  chain: Chain,
  chains: Chains,
  depth: number,
  walked: { rules: number },
): Set<End> {
  const possible = new Set<End>();
  for (const { conditions, verdict } of chain.rules) {
    if (++walked.rules > mostRules) break;
    const truth = all(conditions.map((condition) => holds(condition, packet)));
    if (truth === 'no') continue;
    const ends = endsOf(verdict, packet, chains, depth, walked);
    for (const end of ends)
      if (end !== 'next' || verdict.kind === 'return' || verdict.kind === 'goto') possible.add(end);
    const comesBack = verdict.kind === 'jump' && ends.has('next');
    if (truth === 'yes' && !comesBack) return possible;
  }
  possible.add('next');
  return possible;
}

function endsOf(
  verdict: Verdict,
  packet: FirewallPacket,
  chains: Chains,
  depth: number,
  walked: { rules: number },
): ReadonlySet<End> {
  if (verdict.kind === 'return') return new Set(['next']);
  if (verdict.kind === 'accept' || verdict.kind === 'drop') return new Set([verdict.kind]);
  const target = 'chain' in verdict ? chains.get(verdict.chain) : undefined;
  if (target === undefined || depth >= deepest) return new Set(['accept', 'drop', 'next']);
  return walk(packet, target, chains, depth + 1, walked);
}

function all(truths: readonly Truth[]): Truth {
  if (truths.includes('no')) return 'no';
  return truths.includes('unknown') ? 'unknown' : 'yes';
}

function holds({ field, not = false, values }: Condition, packet: FirewallPacket): Truth {
  if (field === 'unknown') return 'unknown';
  const truths = values.map((value) => meets(field, value, packet));
  const any: Truth = truths.includes('yes') ? 'yes' : truths.includes('unknown') ? 'unknown' : 'no';
  if (any === 'unknown' || !not) return any;
  return any === 'yes' ? 'no' : 'yes';
}

function meets(field: Exclude<Field, 'unknown'>, value: string, packet: FirewallPacket): Truth {
  const truth = (is: boolean): Truth => (is ? 'yes' : 'no');
  switch (field) {
    case 'interface':
      return truth(/[*+]$/.test(value) ? packet.interface.startsWith(value.slice(0, -1)) : packet.interface === value);
    case 'protocol':
      return truth(value === packet.protocol || value === { udp: '17', tcp: '6' }[packet.protocol] || value === 'all');
    case 'family':
      return truth(value === 'ipv4' || value === 'ip' || value === '2');
    // The first packet of its kind: nothing of it is known to the firewall yet.
    case 'state':
      return truth(value === 'new');
    case 'port':
      return inRange(value, packet.port);
    case 'fromPort':
      return inRange(value, packet.fromPort);
    case 'from':
      return inNetwork(value, packet.from);
    case 'to':
      return inNetwork(value, packet.to);
  }
}

const portNames: Readonly<Record<string, number>> = { bootps: 67, bootpc: 68, tftp: 69, ssh: 22, http: 80, domain: 53 };

function inRange(value: string, port: number): Truth {
  const [low, high = low] = value
    .split(/[-:]/)
    .map((part) => portNames[part] ?? (/^\d{1,5}$/.test(part) ? Number(part) : Number.NaN));
  if (low === undefined || high === undefined || Number.isNaN(low) || Number.isNaN(high)) return 'unknown';
  return port >= low && port <= high ? 'yes' : 'no';
}

function inNetwork(value: string, address: string): Truth {
  const [network = '', length = '32'] = value.split('/');
  if (network.includes(':')) return 'no'; // IPv6
  const mask = parseAddress(length);
  const bits =
    mask === undefined
      ? /^\d{1,2}$/.test(length) && Number(length) <= 32
        ? maskNumber(Number(length))
        : undefined
      : addressNumber(length);
  if (parseAddress(network) === undefined || bits === undefined) return 'unknown';
  return (addressNumber(network) & bits) === (addressNumber(address) & bits) ? 'yes' : 'no';
}
