// From what is to be seen of this computer and its networks: what stands in the way of a run. Pure.
import type { Fate } from './firewall.ts';
import { type Obstacle, type ObstacleId, obstacles } from './obstacles.ts';
import { type Offer, offered, serverName } from './offer.ts';

export interface InterfaceFacts {
  readonly name: string;
  readonly up: boolean;
  /** Absent: the kernel doesn't say. */
  readonly carrier?: boolean;
  readonly mtu?: number;
  /** `10.0.0.1/24`; none while the interface is down or has no carrier. */
  readonly addresses: readonly string[];
  readonly rpFilter?: number;
  /** What was heard after one DISCOVER, of the kind that firmware sends; a sentence when none could be sent. */
  readonly offers: readonly Offer[] | { readonly why: string };
  readonly ports: readonly PortFact[];
  readonly firewall: readonly FirewallFact[] | { readonly why: string };
}

export interface PortFact {
  readonly protocol: 'udp' | 'tcp';
  readonly port: number;
  /** `free`, who holds it (`dnsmasq (process 77)`), or why that can't be found out. */
  readonly state: 'free' | 'taken' | 'untried';
  readonly detail?: string;
}

export interface FirewallFact {
  readonly protocol: 'udp' | 'tcp';
  readonly port: number;
  readonly fate: Fate;
}

export interface SurveyFacts {
  readonly interfaces: readonly InterfaceFacts[];
  readonly dhcp: 'proxy' | 'range' | 'off';
  readonly forwards?: boolean;
  readonly missingPrograms: readonly { readonly program: string; readonly package: string }[];
  readonly missingLoaders: readonly { readonly kind: string; readonly why: string }[];
}

export interface SurveyFinding extends Obstacle {
  readonly id: ObstacleId;
  readonly interface?: string;
  readonly says: string;
}

const ethernetMtu = 1500;

export function survey(facts: SurveyFacts): SurveyFinding[] {
  const found: SurveyFinding[] = [];
  const add = (id: ObstacleId, says: string, name?: string): void => {
    const advice = name === undefined ? obstacles[id].advice : obstacles[id].advice.replaceAll('NAME', name);
    found.push({ id, ...obstacles[id], advice, says, ...(name === undefined ? {} : { interface: name }) });
  };
  for (const one of facts.interfaces) {
    const tell = (id: ObstacleId, says: string) => add(id, says, one.name);
    link(one, tell);
    servers(one, facts.dhcp, tell);
    doors(one, facts.dhcp, tell);
  }
  for (const { program, package: brings } of facts.missingPrograms)
    add('program-missing', `${program} is not on PATH: install the package ${brings}`);
  for (const { kind, why } of facts.missingLoaders)
    add(kind === 'arm64' ? 'arm64-loader-missing' : 'loader-missing', why);
  if (facts.forwards === false && facts.dhcp === 'range') add('no-forwarding', 'net.ipv4.ip_forward is 0');
  return found.sort((a, b) => Number(a.level === 'note') - Number(b.level === 'note'));
}

type Tell = (id: ObstacleId, says: string) => void;

function link({ up, carrier, mtu, addresses, rpFilter }: InterfaceFacts, tell: Tell): void {
  if (!up) tell('interface-down', 'it is down');
  else if (carrier === false) tell('no-carrier', 'it is up and has no carrier');
  // Without a carrier Node doesn't tell of addresses.
  else if (addresses.length === 0) tell('no-ipv4', 'it has no IPv4 address, and nixie would not serve it');
  if (mtu !== undefined && mtu > ethernetMtu) tell('mtu-large', `its MTU is ${mtu}, Ethernet has ${ethernetMtu}`);
  if (mtu !== undefined && mtu < ethernetMtu) tell('mtu-small', `its MTU is ${mtu}, Ethernet has ${ethernetMtu}`);
  if (rpFilter === 1) tell('rp-filter', 'its rp_filter is 1, which is strict');
}

function servers({ up, carrier, offers }: InterfaceFacts, dhcp: SurveyFacts['dhcp'], tell: Tell): void {
  if ('why' in offers) {
    tell('not-asked', offers.why);
    return;
  }
  const givers = unique(offers.filter(({ address }) => address !== undefined));
  const boots = unique(offers.filter((offer) => offer.boots));
  for (const offer of boots) {
    const file = offer.file === undefined ? '' : `, ${offer.file}`;
    const next = offer.nextServer === undefined ? '' : ` from ${offer.nextServer}`;
    tell('other-proxy', `${serverName(offer)} offers to firmware: ${offered(offer)}${file}${next}`);
  }
  const named = givers.map((offer) => `${serverName(offer)} offers ${offer.address}`).join(', ');
  if (givers.length > 1) tell('several-dhcp-servers', named);
  if (givers.length > 0 && dhcp === 'range') tell('dhcp-server-beside-range', named);
  if (givers.length === 0 && dhcp !== 'range' && up && carrier !== false)
    tell('no-dhcp-server', 'one DISCOVER was sent, and nobody offered an address');
}

/** Each server once. */
function unique(offers: readonly Offer[]): Offer[] {
  return [...new Map(offers.map((offer) => [`${offer.server} ${offer.serverMac}`, offer])).values()];
}

function doors({ ports, firewall }: InterfaceFacts, dhcp: SurveyFacts['dhcp'], tell: Tell): void {
  const needed = (port: number) => dhcp !== 'off' || (port !== 67 && port !== 4011);
  for (const { protocol, port, state, detail } of ports)
    if (state === 'taken' && needed(port))
      tell('port-taken', `${protocol} ${port} is held by ${detail ?? 'a process that can not be seen from here'}`);
  const untried = ports.filter(({ state }) => state === 'untried');
  if (untried.length > 0)
    tell(
      'not-tried',
      `${untried.map(({ protocol, port }) => `${protocol} ${port}`).join(', ')}: ${untried[0]!.detail ?? 'not permitted'}`,
    );
  if ('why' in firewall) {
    tell('firewall-unknown', firewall.why);
    return;
  }
  const list = (fate: Fate) =>
    firewall
      .filter((each) => each.fate === fate && needed(each.port))
      .map(({ protocol, port }) => `${protocol} ${port}`)
      .join(', ');
  if (list('dropped') !== '') tell('firewall-drops', `its rules drop ${list('dropped')}`);
  if (list('unknown') !== '')
    tell('firewall-unknown', `rules that are not understood here decide about ${list('unknown')}`);
}
