// Relays by name, the token by which one joins its controller, and where a connection comes from. Pure.
import { parseAddress } from '../wire/dhcp4/address.ts';
import type { Mac } from './mac.ts';

/** A relay's name, of the form of machines' names. */
export const relayNamePattern = '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$';
export const relayNameAccepted =
  'a name of 1 to 63 letters, digits, ".", "_" and "-" that begins with a letter or digit, like "rack7"';
const relayName = new RegExp(relayNamePattern);

export function isRelayName(text: string): boolean {
  return relayName.test(text);
}

/** Where relays reach the controller unless another port is said. */
export const relayPort = 7482;

/** Where a connection comes from. Private addresses and even MACs may be there twice, at two sites. */
export interface Place {
  /** Absent: from our own networks. */
  readonly relay?: string;
  /** IPv4; empty: none that we know. */
  readonly address: string;
  readonly port?: number;
  /** By the relay's neighbour table; absent: not known to it. Our own table is asked for those of our own networks. */
  readonly mac?: Mac;
  /** Card of the relay. */
  readonly interface?: string;
}

/** Of a peer on our own networks: `10.0.0.7:4711`, `[::ffff:10.0.0.7]:4711`. What is no IPv4 address is no address. */
export function placeOf(peer: string): Place {
  const [, address, port] = /^\[?(?:::ffff:)?(\d+\.\d+\.\d+\.\d+)\]?:(\d+)$/.exec(peer) ?? [];
  if (address === undefined || parseAddress(address) === undefined) return { address: '' };
  return { address, port: Number(port) };
}

/** `10.0.0.7:4711`, `10.0.0.7:4711 behind rack7` */
export function placeText({ relay, address, port }: Place): string {
  const at = port === undefined ? address : `${address}:${port}`;
  return relay === undefined ? at : `${at} behind ${relay}`;
}

/** All that a relay needs to find its controller and to be believed by it. */
export interface JoinToken {
  readonly name: string;
  /** `https://HOST:7482` */
  readonly url: string;
  /** SHA-256 of the controller's certificate, 64 lower-case hex digits. */
  readonly fingerprint: string;
  /** 32 bytes. Whoever has them first is this relay. */
  readonly secret: Uint8Array;
}

const prefix = 'nixie-relay-v1.';
const longestToken = 4096;

export class TokenUnreadable extends Error {
  override name = 'TokenUnreadable';
  constructor(why: string) {
    super(`read join token: ${why}; a token is one line beginning with "${prefix}", made by "nixie relay-token NAME"`);
  }
}

/** One line, without its end. */
export function joinTokenText({ name, url, fingerprint, secret }: JoinToken): string {
  const text = JSON.stringify({ name, url, fingerprint, secret: Buffer.from(secret).toString('base64url') });
  return `${prefix}${Buffer.from(text).toString('base64url')}`;
}

/** @throws TokenUnreadable, without a word of the secret */
export function parseJoinToken(text: string): JoinToken {
  const line = text.trim();
  if (line.length > longestToken || !line.startsWith(prefix)) throw new TokenUnreadable('it is none');
  const sealed = line.slice(prefix.length);
  if (!/^[A-Za-z0-9_-]+$/.test(sealed)) throw new TokenUnreadable('it has characters that none has');
  let fields: unknown;
  try {
    fields = JSON.parse(Buffer.from(sealed, 'base64url').toString('utf8'));
  } catch {
    throw new TokenUnreadable('its end is missing, or a character was changed');
  }
  const { name, url, fingerprint, secret } = (fields ?? {}) as Record<string, unknown>;
  if (typeof name !== 'string' || !isRelayName(name)) throw new TokenUnreadable('it names no relay');
  if (typeof url !== 'string' || parseRelayUrl(url) === undefined)
    throw new TokenUnreadable('it says no address of a controller');
  if (typeof fingerprint !== 'string' || !/^[0-9a-f]{64}$/.test(fingerprint))
    throw new TokenUnreadable('its fingerprint is none');
  if (typeof secret !== 'string' || !/^[A-Za-z0-9_-]{43}$/.test(secret))
    throw new TokenUnreadable('its secret is none');
  return { name, url, fingerprint, secret: Buffer.from(secret, 'base64url') };
}

export interface Endpoint {
  /** A name or an address; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

const host = String.raw`\[(?=[^\]]*:[^\]]*:)[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?`;
const endpointForm = new RegExp(`^(${host})(?::([0-9]{1,5}))?$`);

/** `HOST`, `HOST:PORT` or `[IPV6]:PORT`. Undefined for anything else. */
export function parseEndpoint(text: string, otherwise = relayPort): Endpoint | undefined {
  const found = endpointForm.exec(text);
  if (found === null) return undefined;
  const port = found[2] === undefined ? otherwise : Number(found[2]);
  if (port < 1 || port > 65535) return undefined;
  return { host: found[1]!.replace(/^\[|\]$/g, ''), port };
}

/** `https://HOST[:PORT]`; no user, no path. Undefined for anything else. */
export function parseRelayUrl(text: string): Endpoint | undefined {
  const found = /^https:\/\/([^/]+)\/?$/.exec(text);
  return found === null ? undefined : parseEndpoint(found[1]!);
}

/** `HOST:PORT`, `[IPV6]:PORT` */
export function endpointText({ host, port }: Endpoint): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** What a relay signs: name and fingerprint, so that it is of use to nobody else, and the controller's challenge, so that it is good once. */
export function relayHelloText(name: string, fingerprint: string, nonce: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(`nixie-relay\n${name}\n${fingerprint}\n`), nonce]);
}
