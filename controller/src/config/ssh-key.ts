// The file behind --ssh-key: what it is, its public half, and whether a program without a terminal could use it.
import { createPublicKey } from 'node:crypto';

export type KeyFile =
  | { readonly ok: true; readonly kind: 'private' | 'public'; readonly publicKey: string }
  /** `found` and `accepted` complete the sentence of a problem. */
  | { readonly ok: false; readonly found: string; readonly accepted: string };

const accepted = 'an SSH private key without passphrase, or a public key (.pub)';
const largestBytes = 64 * 1024;

/** Judges the bytes of a key file. Never throws. `publicKey` is `type base64` without comment. */
export function readKeyFile(bytes: Uint8Array): KeyFile {
  const no = (found: string, wanted = accepted): KeyFile => ({ ok: false, found, accepted: wanted });
  if (bytes.length > largestBytes) return no(`a file of ${bytes.length} bytes`);
  const text = new TextDecoder().decode(bytes).trim();
  if (text === '') return no('an empty file');
  if (text.startsWith('PuTTY-User-Key-File'))
    return no('a key of PuTTY', `${accepted}; \`puttygen KEY.ppk -O private-openssh -o KEY\` converts it`);
  const armour = /^-----BEGIN ([A-Z0-9 ]+)-----\r?\n([\s\S]*?)\r?\n-----END \1-----/.exec(text);
  if (armour === null) return publicLine(text) ?? no('something that is no key');
  const [, label, body] = armour;
  if (label === 'OPENSSH PRIVATE KEY') {
    const key = opensshKey(Buffer.from(body!, 'base64'));
    if (key === undefined) return no('a damaged OpenSSH key');
    return key.cipher === 'none' ? { ok: true, kind: 'private', publicKey: key.publicKey } : no(...locked);
  }
  if (label === 'ENCRYPTED PRIVATE KEY' || /^Proc-Type:.*ENCRYPTED/m.test(body!)) return no(...locked);
  if (!label!.endsWith('PRIVATE KEY')) return no(`a file of the kind ${label}`);
  try {
    const publicKey = publicFromJwk(createPublicKey(text).export({ format: 'jwk' }));
    return publicKey === undefined
      ? no('a private key of a kind that SSH does not know')
      : { ok: true, kind: 'private', publicKey };
  } catch {
    return no('a damaged private key');
  }
}

const locked = [
  'a private key with a passphrase, which nobody could type while machines install',
  `${accepted}; with the key in an ssh-agent give its .pub file`,
] as const;

function publicLine(text: string): KeyFile | undefined {
  const [type, base64] = (text.split('\n').find((line) => !line.startsWith('#')) ?? '').trim().split(/\s+/);
  if (type === undefined || base64 === undefined || !/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return undefined;
  if (fields(Buffer.from(base64, 'base64'))?.[0]?.toString('latin1') !== type) return undefined;
  return { ok: true, kind: 'public', publicKey: `${type} ${base64}` };
}

/** The clear part of openssh-key-v1 (OpenSSH's PROTOCOL.key): cipher, KDF, its options, number of keys, public keys. */
function opensshKey(blob: Buffer): { cipher: string; publicKey: string } | undefined {
  const magic = 'openssh-key-v1\0';
  if (blob.subarray(0, magic.length).toString('latin1') !== magic) return undefined;
  const rest = blob.subarray(magic.length);
  const [cipher, kdf, options] = fields(rest, 3) ?? [];
  if (cipher === undefined || kdf === undefined || options === undefined) return undefined;
  const after = rest.subarray(12 + cipher.length + kdf.length + options.length + 4);
  const [publicBlob] = fields(after, 1) ?? [];
  const type = publicBlob === undefined ? undefined : fields(publicBlob, 1)?.[0];
  if (publicBlob === undefined || type === undefined || !/^[a-z0-9@.-]+$/.test(type.toString('latin1')))
    return undefined;
  return {
    cipher: cipher.toString('latin1'),
    publicKey: `${type.toString('latin1')} ${publicBlob.toString('base64')}`,
  };
}

/** RFC 4251 5 `string`s; undefined when one reaches past the end. */
function fields(blob: Buffer, count = 1): Buffer[] | undefined {
  const found: Buffer[] = [];
  let at = 0;
  while (found.length < count) {
    if (at + 4 > blob.length) return undefined;
    const end = at + 4 + blob.readUInt32BE(at);
    if (end > blob.length) return undefined;
    found.push(blob.subarray(at + 4, end));
    at = end;
  }
  return found;
}

/** RFC 4253 6.6, RFC 5656 3.1, RFC 8709 4. */
function publicFromJwk(jwk: {
  kty?: string;
  crv?: string;
  x?: string;
  y?: string;
  n?: string;
  e?: string;
}): string | undefined {
  const bytes = (text = '') => Buffer.from(text, 'base64url');
  // An mpint is signed: a set highest bit needs a zero before it (RFC 4251 5).
  const mpint = (value: Buffer) => (value[0]! & 0x80 ? Buffer.concat([Buffer.of(0), value]) : value);
  const line = (type: string, ...parts: Buffer[]) => {
    const blob = [Buffer.from(type), ...parts].flatMap((part) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(part.length);
      return [length, part];
    });
    return `${type} ${Buffer.concat(blob).toString('base64')}`;
  };
  if (jwk.kty === 'RSA') return line('ssh-rsa', mpint(bytes(jwk.e)), mpint(bytes(jwk.n)));
  if (jwk.kty === 'OKP' && jwk.crv === 'Ed25519') return line('ssh-ed25519', bytes(jwk.x));
  const curve = { 'P-256': 'nistp256', 'P-384': 'nistp384', 'P-521': 'nistp521' }[jwk.crv ?? ''];
  if (jwk.kty !== 'EC' || curve === undefined) return undefined;
  return line(`ecdsa-sha2-${curve}`, Buffer.from(curve), Buffer.concat([Buffer.of(4), bytes(jwk.x), bytes(jwk.y)]));
}
