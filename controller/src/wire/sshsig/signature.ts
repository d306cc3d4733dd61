// Signatures of files by SSH keys, as `ssh-keygen -Y sign` writes them: OpenSSH PROTOCOL.sshsig. Only ed25519 keys (RFC 8709).

/** Not a signature of this form. `offset` in bytes of the blob; absent for the armour around it. */
export class SshsigError extends Error {
  readonly offset?: number;
  constructor(message: string, offset?: number) {
    super(offset === undefined ? message : `${message} at byte ${offset}`);
    this.name = 'SshsigError';
    if (offset !== undefined) this.offset = offset;
  }
}

export interface SshSignature {
  /** `ssh-ed25519 AAAA…` without comment. */
  readonly publicKey: string;
  /** 32 bytes. */
  readonly key: Uint8Array;
  readonly namespace: string;
  readonly reserved: Uint8Array;
  readonly hash: 'sha256' | 'sha512';
  /** 64 bytes. */
  readonly signature: Uint8Array;
}

const magic = 'SSHSIG';
const keyType = 'ssh-ed25519';
const mostText = 4096;
const armour = /^-----BEGIN SSH SIGNATURE-----\n([A-Za-z0-9+/=\n]+)\n-----END SSH SIGNATURE-----\n?$/;

/** @throws SshsigError */
export function decodeSshsig(text: string): SshSignature {
  if (text.length > mostText) throw new SshsigError(`found ${text.length} characters, accepted: ${mostText}`);
  const base64 = armour.exec(text)?.[1]?.replaceAll('\n', '');
  if (base64 === undefined || !/^[A-Za-z0-9+/]+={0,2}$/.test(base64) || base64.length % 4 !== 0)
    throw new SshsigError('no armoured SSH signature');
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const reader = new Reader(bytes);
  if (latin(reader.take(6)) !== magic) throw new SshsigError('no SSHSIG', 0);
  const version = reader.number();
  if (version !== 1) throw new SshsigError(`found version ${version}, accepted: 1`, 6);
  const blob = reader.string();
  const namespace = latin(reader.string());
  const reserved = reader.string();
  const hash = latin(reader.string());
  if (hash !== 'sha256' && hash !== 'sha512')
    throw new SshsigError('another hash than sha256 or sha512', reader.offset);
  const signature = ofType(reader.string(), 64);
  if (!reader.ended) throw new SshsigError('more behind the signature', reader.offset);
  return { publicKey: `${keyType} ${toBase64(blob)}`, key: ofType(blob, 32), namespace, reserved, hash, signature };
}

/** What the key signs: the hash of the message in an envelope of its own. */
export function signedBytes(
  about: Pick<SshSignature, 'namespace' | 'reserved' | 'hash'>,
  digest: Uint8Array,
): Uint8Array {
  const parts = [unlatin(about.namespace), about.reserved, unlatin(about.hash), digest];
  const bytes = new Uint8Array(magic.length + parts.reduce((sum, part) => sum + 4 + part.length, 0));
  bytes.set(unlatin(magic));
  let at = magic.length;
  for (const part of parts) {
    new DataView(bytes.buffer).setUint32(at, part.length);
    bytes.set(part, at + 4);
    at += 4 + part.length;
  }
  return bytes;
}

/** A blob of `ssh-ed25519` and so many bytes. */
function ofType(blob: Uint8Array, length: number): Uint8Array {
  const reader = new Reader(blob);
  if (latin(reader.string()) !== keyType) throw new SshsigError(`another type than ${keyType}`, 0);
  const value = reader.string();
  if (value.length !== length || !reader.ended)
    throw new SshsigError(`found ${value.length} bytes, accepted: ${length}`, reader.offset);
  return value;
}

/** RFC 4251 5: `uint32` and `string`. */
class Reader {
  readonly #bytes: Uint8Array;
  offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get ended(): boolean {
    return this.offset === this.#bytes.length;
  }

  take(length: number): Uint8Array {
    if (this.offset + length > this.#bytes.length) throw new SshsigError('it ends too soon', this.offset);
    this.offset += length;
    return this.#bytes.subarray(this.offset - length, this.offset);
  }

  number(): number {
    const four = this.take(4);
    return new DataView(four.buffer, four.byteOffset, 4).getUint32(0);
  }

  string(): Uint8Array {
    return this.take(this.number());
  }
}

function latin(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

function unlatin(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function toBase64(bytes: Uint8Array): string {
  return btoa(latin(bytes));
}
