// Looks at this computer and its networks before a run, and changes nothing: facts for the doctor.
import { networkInterfaces } from 'node:os';
import { watchChild } from './child/child.ts';
import type { Chains, FirewallPacket } from './doctor/firewall.ts';
import { fateOf } from './doctor/firewall.ts';
import { readIptables } from './doctor/firewall-iptables.ts';
import { readNft } from './doctor/firewall-nft.ts';
import type { Offer } from './doctor/offer.ts';
import type { FirewallFact, InterfaceFacts, SurveyFacts } from './doctor/survey.ts';
import { LoaderMissing, NoSuchInterface } from './listen/errors.ts';
import { readSys, type SysReader } from './listen/interfaces.ts';
import { findLoaders } from './listen/loaders.ts';
import { checkPorts, tcpPorts } from './listen/port-check.ts';
import { findPrograms, ProgramMissing, which } from './programs.ts';

export interface SurveyWorld {
  readonly searchPath: string;
  readonly probe: (name: string) => Promise<Offer[]>;
  readonly sys?: SysReader;
}

export interface SurveyRequest {
  readonly interfaces: readonly string[];
  readonly dhcp: SurveyFacts['dhcp'];
  readonly ipxeDir?: string;
}

/** @throws NoSuchInterface for a name that is no interface here */
export async function lookAround(request: SurveyRequest, world: SurveyWorld): Promise<SurveyFacts> {
  const { sys = readSys, searchPath } = world;
  const there = sys.names('/sys/class/net').filter((name) => name !== 'lo');
  for (const name of request.interfaces)
    if (!there.includes(name))
      throw new NoSuchInterface(name, `there is no interface ${name}; there are: ${there.join(', ') || 'none'}`);
  const rules = await firewallRules(searchPath);
  const interfaces = await Promise.all(request.interfaces.map((name) => lookAt(name, rules, { ...world, sys })));
  const forward = sys.text('/proc/sys/net/ipv4/ip_forward');
  return {
    interfaces,
    dhcp: request.dhcp,
    ...(forward === undefined ? {} : { forwards: forward !== '0' }),
    missingPrograms: missingPrograms(searchPath),
    missingLoaders: missingLoaders(request.ipxeDir),
  };
}

type Rules = { readonly chains: readonly Chains[] } | { readonly why: string };

async function lookAt(name: string, rules: Rules, world: SurveyWorld & { sys: SysReader }): Promise<InterfaceFacts> {
  const { sys } = world;
  const fact = (path: string) => sys.text(`/sys/class/net/${name}/${path}`);
  const addresses = (networkInterfaces()[name] ?? []).filter(({ family }) => family === 'IPv4');
  const carrier = fact('carrier');
  const mtu = Number(fact('mtu') ?? Number.NaN);
  const up = (Number.parseInt(fact('flags') ?? '0', 16) & 1) === 1; // IFF_UP
  const filters = ['all', name].map((each) =>
    Number(sys.text(`/proc/sys/net/ipv4/conf/${each}/rp_filter`) ?? Number.NaN),
  );
  const rpFilter = Math.max(...filters); // the kernel takes the larger one
  const offers = await world.probe(name).catch((error: unknown) => ({ why: (error as Error).message }));
  const [first] = addresses;
  return {
    name,
    up,
    ...(carrier === undefined ? {} : { carrier: carrier === '1' }),
    ...(Number.isFinite(mtu) ? { mtu } : {}),
    addresses: addresses.map(({ cidr, address }) => cidr ?? address),
    ...(Number.isFinite(rpFilter) ? { rpFilter } : {}),
    offers,
    ports: first === undefined ? [] : await checkPorts(name, first.address),
    firewall: first === undefined ? [] : firewallOf(name, first.address, rules),
  };
}

/** Any of those that are taken for a short while (RFC 6335, section 6). */
const dynamicPort = 49_152;

/** The first packet of each kind that a machine sends us. */
function firewallOf(name: string, address: string, rules: Rules): readonly FirewallFact[] | { readonly why: string } {
  if ('why' in rules) return rules;
  const toUs = { interface: name, fromPort: dynamicPort, from: address, to: address };
  const asDiscover = { interface: name, fromPort: 68, from: '0.0.0.0', to: '255.255.255.255' };
  const packets: FirewallPacket[] = [
    { ...asDiscover, protocol: 'udp', port: 67 },
    { ...toUs, protocol: 'udp', port: 69 },
    { ...toUs, protocol: 'udp', port: 4011, fromPort: 4011 },
    ...tcpPorts.map((port): FirewallPacket => ({ ...toUs, protocol: 'tcp', port })),
  ];
  return packets.map((packet) => {
    const fates = rules.chains.map((chains) => fateOf(packet, chains));
    const fate = fates.includes('dropped') ? 'dropped' : fates.includes('unknown') ? 'unknown' : 'open';
    return { protocol: packet.protocol, port: packet.port, fate };
  });
}

const firewallMs = 10_000;
const firewallBytes = 16 << 20;

/**
 * Rules of nftables and of iptables. Those that iptables made in nftables are read from iptables-save, where each match has its words. Asked
 * without a table, neither program makes one.
 */
async function firewallRules(path: string): Promise<Rules> {
  const chains: Chains[] = [];
  const troubles: string[] = [];
  const ask = async (program: string, argv: readonly string[]): Promise<string | undefined> => {
    const file = which(program, path) ?? which(program, systemFolders);
    if (file === undefined) return undefined;
    const text = await outputOf(file, argv);
    if (typeof text === 'string') return text;
    troubles.push(`${program}: ${text.why}`);
    return undefined;
  };
  const take = (program: string, read: Chains | undefined): void => {
    if (read === undefined) troubles.push(`${program}: its output is not understood`);
    else chains.push(read);
  };
  const saved = await ask('iptables-save', []);
  const tables = saved === undefined ? undefined : readIptables(saved);
  if (tables !== undefined) chains.push(tables);
  const legacy = await ask('iptables-legacy-save', []);
  if (legacy !== undefined && legacy !== saved) take('iptables-legacy-save', readIptables(legacy) ?? new Map());
  const except = tables !== undefined && /\(nf_tables\)/.test(saved ?? '') ? ['ip filter'] : [];
  const nft = await ask('nft', ['--json', 'list', 'ruleset']);
  if (nft !== undefined) take('nft', readNft(nft, except));
  if (troubles.length > 0) return { why: troubles.join('; ') };
  // Who has no program to read rules may have rules all the same; iptables doesn't show those of nftables.
  if (nft === undefined) return { why: 'nft is not here to read its rules' };
  return { chains };
}

const systemFolders = '/usr/sbin:/sbin:/run/current-system/sw/bin';

/** What a program prints, or why it printed nothing to rely on. */
async function outputOf(program: string, argv: readonly string[]): Promise<string | { readonly why: string }> {
  const out: Buffer[] = [];
  let bytes = 0;
  let said = '';
  const child = watchChild<'too long'>(
    { program, argv, env: { LC_ALL: 'C' }, outputs: 'apart' },
    {
      deadlineMs: firewallMs,
      graceMs: 0,
      onOutput(more) {
        bytes += more.length;
        if (bytes > firewallBytes) child.stop('too long');
        else out.push(more);
      },
      onErrors(more) {
        said = (said + more.toString('utf8')).slice(0, 1000);
      },
    },
  );
  const end = await child.ended;
  if (end.kind === 'not-started') return { why: end.error.message };
  if (end.status === 0 && end.why === undefined) return Buffer.concat(out).toString('utf8');
  return { why: said.trim().split('\n')[0] || `ended with ${end.why ?? end.status ?? end.signal}` };
}

function missingPrograms(path: string): SurveyFacts['missingPrograms'] {
  try {
    findPrograms(path, undefined);
    return [];
  } catch (error) {
    if (error instanceof ProgramMissing) return error.programs;
    throw error;
  }
}

function missingLoaders(folder: string | undefined): SurveyFacts['missingLoaders'] {
  return (['bios', 'x64', 'arm64'] as const).flatMap((kind) => {
    try {
      findLoaders([kind], folder);
      return [];
    } catch (error) {
      if (error instanceof LoaderMissing) return [{ kind, why: error.message }];
      throw error;
    }
  });
}
