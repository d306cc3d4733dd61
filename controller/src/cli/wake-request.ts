// The words after `nixie wake` → which MACs to wake, from where.
import { checkAddress } from '../config/flags.ts';
import { parseIpv4 } from '../config/ipv4.ts';
import { nearest, type Problem, show } from '../config/problem.ts';
import type { Host } from '../machine/host.ts';
import { type Mac, parseMac } from '../machine/mac.ts';
import type { Subnet } from '../machine/subnet.ts';
import type { Declared } from './declared.ts';

export interface WakeTarget {
  readonly name: string;
  readonly macs: readonly Mac[];
  /** Of the host: it is there and nowhere else. */
  readonly subnet?: string;
  readonly relay?: string;
}

export interface WakeRequest {
  /** `name` is the MAC itself when it is no host of the file. */
  readonly targets: readonly WakeTarget[];
  /** Of the hosts file: magic packets are sent there as well. */
  readonly subnets: readonly Subnet[];
  /** Empty: all that face the network. */
  readonly interfaces: readonly string[];
  readonly address?: string;
  /** 4 or 6 bytes. */
  readonly secureOn?: Uint8Array;
  readonly json: boolean;
}

export interface WakeOptions {
  readonly interface?: readonly string[];
  readonly address?: string;
  readonly secureOn?: string;
  readonly json?: boolean;
}

export function readWake(
  words: readonly string[],
  options: WakeOptions,
  { hosts, subnets }: Declared,
  problems: Problem[],
): WakeRequest {
  const targets = new Map<string, Omit<WakeTarget, 'name'>>();
  for (const word of words) {
    // A name of the file wins: `deadbeef0001` may be both.
    const host = hosts.find(({ name }) => name === word);
    const mac = parseMac(word);
    if (host !== undefined) targets.set(host.name, { macs: host.macs, ...placeIn(host) });
    else if (mac !== undefined) targets.set(mac, { macs: [mac] });
    else {
      const names = hosts.map(({ name }) => name);
      const guess = nearest(word, names);
      const hint =
        hosts.length === 0
          ? 'accepted: a MAC address, or with --hosts FILE a name of that file'
          : guess === undefined
            ? 'accepted: a MAC address or a name of the hosts file'
            : `did you mean ${show(guess)}?`;
      problems.push({ where: 'wake', text: `found ${show(word)}; ${hint}` });
    }
  }
  const { address } = options;
  if (address !== undefined) checkAddress(address, (where, text) => void problems.push({ where, text }));
  const secureOn = options.secureOn === undefined ? undefined : readSecureOn(options.secureOn);
  // Not shown: it is a password.
  if (options.secureOn !== undefined && secureOn === undefined)
    problems.push({ where: '--secure-on', text: 'accepted: 6 bytes like aa:bb:cc:dd:ee:ff, or 4 like 192.168.1.1' });
  return {
    targets: [...targets].map(([name, target]) => ({ name, ...target })),
    subnets,
    interfaces: [...new Set(options.interface ?? [])],
    ...(address !== undefined && { address }),
    ...(secureOn !== undefined && { secureOn }),
    json: options.json ?? false,
  };
}

function placeIn({ subnet, relay }: Host): Pick<WakeTarget, 'subnet' | 'relay'> {
  return { ...(subnet === undefined ? {} : { subnet }), ...(relay === undefined ? {} : { relay }) };
}

/** As ether-wake and others take it: six hexadecimal octets, or four decimal ones. */
function readSecureOn(text: string): Uint8Array | undefined {
  const four = parseIpv4(text);
  if (four !== undefined) return Uint8Array.from(text.split('.'), Number);
  const octets = /^[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}$|^[0-9a-f]{12}$/i.test(text);
  return octets
    ? Uint8Array.from(text.replace(/[:-]/g, '').match(/../g)!, (octet) => Number.parseInt(octet, 16))
    : undefined;
}
