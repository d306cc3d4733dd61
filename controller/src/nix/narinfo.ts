// The description of one path in a binary cache, and the signature that makes it believable wherever it comes from.
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import { fromNix32, toNix32 } from './nix32.ts';
import { hashPart, isBaseName, storeFolder } from './store-path.ts';

export interface NarInfo {
  readonly path: string;
  /** SHA-256 of the NAR, 64 hex digits. */
  readonly narHash: string;
  /** bytes */
  readonly narSize: number;
  /** Full paths. */
  readonly references: readonly string[];
}

/** A nix key pair: ed25519, with a name that signatures carry. */
export interface CacheKey {
  readonly name: string;
  /** `name:base64`, as `trusted-public-keys` wants it. */
  readonly publicText: string;
  /** `name:base64` of seed and public key, as `secret-key-files` wants it. */
  readonly secretText: string;
  sign(text: string): string;
}

// What stands in front of the 32 bytes of an ed25519 seed or public key in DER (RFC 8410 7, 4).
const seedHead = Buffer.from('302e020100300506032b657004220420', 'hex');
const publicHead = Buffer.from('302a300506032b6570032100', 'hex');
const keyText = /^([A-Za-z0-9._-]{1,100}):([A-Za-z0-9+/]+={0,2})$/;

export function makeCacheKey(name: string): CacheKey {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const seed = privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(-32);
  const open = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
  return readCacheKey(`${name}:${Buffer.concat([seed, open]).toString('base64')}`);
}

/** @throws Error when it is no nix secret key, or its two halves don't belong together */
export function readCacheKey(text: string): CacheKey {
  const match = keyText.exec(text.trim());
  const bytes = Buffer.from(match?.[2] ?? '', 'base64');
  if (match === null || bytes.length !== 64)
    throw new Error('read cache key: expected NAME:BASE64 of 64 bytes, as nix-store --generate-binary-cache-key makes');
  const name = match[1]!;
  const key = createPrivateKey({ key: Buffer.concat([seedHead, bytes.subarray(0, 32)]), format: 'der', type: 'pkcs8' });
  const open = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32);
  if (!open.equals(bytes.subarray(32))) throw new Error('read cache key: its public half belongs to another key');
  return {
    name,
    publicText: `${name}:${open.toString('base64')}`,
    secretText: `${name}:${bytes.toString('base64')}`,
    sign: (text) => `${name}:${sign(null, Buffer.from(text), key).toString('base64')}`,
  };
}

/** Undefined when it is no public key of nix. */
export function readPublicKey(text: string): { readonly name: string; readonly key: KeyObject } | undefined {
  const match = keyText.exec(text);
  const bytes = Buffer.from(match?.[2] ?? '', 'base64');
  if (match === null || bytes.length !== 32) return undefined;
  return {
    name: match[1]!,
    key: createPublicKey({ key: Buffer.concat([publicHead, bytes]), format: 'der', type: 'spki' }),
  };
}

/** What is signed. */
export function fingerprintOf(info: NarInfo): string {
  const hash = toNix32(Buffer.from(info.narHash, 'hex'));
  return `1;${info.path};sha256:${hash};${info.narSize};${[...info.references].sort().join(',')}`;
}

/** The text, signed. It names its NAR by the hash part of the path: `nar/<hash>.nar`, uncompressed. */
export function writeNarInfo(info: NarInfo, key: Pick<CacheKey, 'sign'>): string {
  const names = info.references.map((path) => path.slice(path.lastIndexOf('/') + 1)).sort();
  return [
    `StorePath: ${info.path}`,
    `URL: nar/${hashPart(info.path)}.nar`,
    'Compression: none',
    `NarHash: sha256:${toNix32(Buffer.from(info.narHash, 'hex'))}`,
    `NarSize: ${info.narSize}`,
    `References: ${names.join(' ')}`,
    `Sig: ${key.sign(fingerprintOf(info))}`,
    '',
  ].join('\n');
}

/** Longest text that is read, in characters: a path refers to some thousands at most. */
export const longestNarInfo = 1 << 20;

/** Reads such a text. Throws with the line that is wrong. */
export function readNarInfo(text: string): NarInfo & { readonly signatures: readonly string[] } {
  const wrong = (what: string): Error => new Error(`read narinfo: ${what}`);
  if (text.length > longestNarInfo) throw wrong(`it has ${text.length} characters, at most ${longestNarInfo} are read`);
  const fields = new Map<string, string>();
  const signatures: string[] = [];
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const match = /^([A-Za-z]+): ?(.*)$/.exec(line);
    if (match === null) throw wrong(`found ${JSON.stringify(line.slice(0, 80))}, want NAME: VALUE`);
    const [, name, value] = match as unknown as [string, string, string];
    if (name === 'Sig') signatures.push(value);
    else if (fields.has(name)) throw wrong(`${name} stands there twice`);
    else fields.set(name, value);
  }
  const path = fields.get('StorePath') ?? '';
  const part = hashPart(path);
  if (part === undefined) throw wrong(`StorePath: found ${JSON.stringify(path.slice(0, 80))}, want a store path`);
  if (fields.get('URL') !== `nar/${part}.nar`) throw wrong(`URL: want nar/${part}.nar`);
  if (fields.get('Compression') !== 'none') throw wrong('Compression: want none');
  const hash = /^sha256:(.*)$/.exec(fields.get('NarHash') ?? '')?.[1];
  const bytes = hash === undefined ? undefined : fromNix32(hash, 32);
  if (bytes === undefined) throw wrong('NarHash: want sha256 in nix32');
  const size = fields.get('NarSize') ?? '';
  if (!/^\d{1,15}$/.test(size)) throw wrong('NarSize: want bytes');
  const names = (fields.get('References') ?? '').split(' ').filter((name) => name !== '');
  const odd = names.find((name) => !isBaseName(name));
  if (odd !== undefined)
    throw wrong(`References: found ${JSON.stringify(odd.slice(0, 80))}, want names of store paths`);
  return {
    path,
    narHash: Buffer.from(bytes).toString('hex'),
    narSize: Number(size),
    references: names.map((name) => `${storeFolder(path)}/${name}`),
    signatures,
  };
}

/** Is one of the signatures this key's? */
export function isSigned(info: ReturnType<typeof readNarInfo>, publicKey: string): boolean {
  const known = readPublicKey(publicKey);
  if (known === undefined) return false;
  const said = Buffer.from(fingerprintOf(info));
  return info.signatures.some((text) => {
    const match = keyText.exec(text);
    if (match?.[1] !== known.name) return false;
    const bytes = Buffer.from(match[2]!, 'base64');
    return bytes.length === 64 && verify(null, said, known.key, bytes);
  });
}
