// Who opens a session: a credential that we sealed, and a hello signed by the key that registered.
import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import type { Hello } from '@nixie/proto/agent';
import type { Credential } from '../machine/token.ts';

export interface Known {
  readonly credential: Credential;
  /** Undefined when it isn't one of P-256: nobody's hello is right then. */
  readonly key: KeyObject | undefined;
}

/**
 * Credentials that were found good, so that one that comes back costs neither its seal nor the reading of its key, which together take more
 * than its signature does. A credential is good for as long as the secret that sealed it, which is longer than this lives.
 */
export class KnownCredentials {
  readonly #known = new Map<string, Known>();
  readonly #read: (text: string) => Credential | undefined;
  readonly #most: number;

  /** @param read undefined for what we did not seal, which is never kept */
  constructor(read: (text: string) => Credential | undefined, most: number) {
    this.#read = read;
    this.#most = most;
  }

  get size(): number {
    return this.#known.size;
  }

  find(text: string): Known | undefined {
    let known = this.#known.get(text);
    if (known !== undefined) {
      this.#known.delete(text);
    } else {
      const credential = this.#read(text);
      if (credential === undefined) return undefined;
      known = { credential, key: publicKey(credential.agentKey) };
    }
    // The one that was asked for last is forgotten last.
    this.#known.set(text, known);
    if (this.#known.size > this.#most) this.#known.delete(this.#known.keys().next().value!);
    return known;
  }
}

/** Undefined for anything but the SPKI DER of a P-256 key. */
function publicKey(spki: Uint8Array): KeyObject | undefined {
  try {
    const key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
    return key.asymmetricKeyDetails?.namedCurve === 'prime256v1' ? key : undefined;
  } catch {
    return undefined;
  }
}

/** The text that the hello's signature covers. */
export function helloText(credential: string, bootId: string, unixMs: bigint): Buffer {
  return Buffer.from(`nixie-session\n${credential}\n${bootId}\n${unixMs}`);
}

/** True when the agent's key signed this hello. Never throws. */
export function checkHello({ credential, key }: Known, text: string, hello: Hello): boolean {
  if (hello.bootId !== credential.bootId || key === undefined) return false;
  try {
    return verify('sha256', helloText(text, hello.bootId, hello.unixMs), key, hello.signature);
  } catch {
    return false;
  }
}
