// Installed systems that say that they have booted: is it the machine that holds the host key which Nixie placed, and is it said now?
import { createHash, createHmac, createPublicKey, timingSafeEqual, verify } from 'node:crypto';
import type { CheckInRequest } from '@nixie/proto/host';
import type { Happening, Life } from '../machine/life.ts';
import type { Place } from '../machine/relay.ts';
import { decodeSshsig, type SshSignature, SshsigError, signedBytes } from '../wire/sshsig/signature.ts';

export interface CheckInWorld {
  readonly life: (host: string) => Life | undefined;
  /** The relay that a host is behind; undefined: none. Absent: no host is. */
  readonly relayOf?: (host: string) => string | undefined;
  /** Store path of what was built for it. */
  readonly toplevel: (host: string) => string | undefined;
  /** `ssh-ed25519 AAAA…` of the key that was placed on it; undefined: none was. Only read, never made. */
  readonly placedKey: (host: string) => Promise<string | undefined>;
  readonly happened: (host: string, happening: Happening) => void;
  /** A line of the host's log. */
  readonly log: (host: string, text: string) => void;
  /** Where it said it, to look for it there. */
  readonly seenAt: (host: string, address: string) => void;
  /** Seals challenges; of this run alone. */
  readonly secret: Uint8Array;
  /** Of our own certificate: what was signed for another controller is worth nothing here. */
  readonly fingerprint: string;
  readonly randomBytes: (count: number) => Uint8Array;
  /** Milliseconds of a clock that nobody sets. */
  readonly ticks: () => number;
  /** Milliseconds of the wall clock. */
  readonly now: () => number;
}

export type CheckInRefusal = { readonly refused: 'denied' | 'invalid' | 'unavailable'; readonly why: string };

export const namespace = 'nixie-check-in';
const goodForMs = 60_000;
/** A clock that is off by more is worth a word. */
const clockOffMs = 300_000;
/** Signed challenges that are remembered; each is good for a minute, and every machine needs one in its life. */
const mostUsed = 10_000;
const denied = (why: string): CheckInRefusal => ({ refused: 'denied', why });

/** The text that is signed. */
export function checkInText(request: Omit<CheckInRequest, 'signature'>, fingerprint: string): string {
  const { host, challenge, bootId, bootedSystem, unixMs } = request;
  const hex = Buffer.from(challenge).toString('hex');
  return [`${namespace} 1`, host, hex, bootId, bootedSystem, String(unixMs), fingerprint, ''].join('\n');
}

export class CheckIns {
  readonly #world: CheckInWorld;
  /** Challenges that were signed, with their time: each is good for one check-in. */
  readonly #used = new Map<string, number>();

  constructor(world: CheckInWorld) {
    this.#world = world;
  }

  /** Nothing is kept of it, so strangers may ask as often as they like. */
  challenge(): Uint8Array {
    const body = Buffer.alloc(24);
    body.writeDoubleBE(this.#world.ticks());
    body.set(this.#world.randomBytes(16), 8);
    return Buffer.concat([body, this.#seal(body)]);
  }

  #seal(body: Uint8Array): Uint8Array {
    return createHmac('sha256', this.#world.secret).update('check-in challenge').update(body).digest().subarray(0, 16);
  }

  async checkIn(request: CheckInRequest, place: Place): Promise<CheckInRefusal | undefined> {
    const { host, bootId, bootedSystem } = request;
    if (!/^[0-9a-f-]{1,64}$/.test(bootId))
      return { refused: 'invalid', why: 'boot_id: accepted are hexadecimal digits' };
    if (!/^\/nix\/store\/[a-z0-9]{32}-[A-Za-z0-9+._?=-]{1,200}$/.test(bootedSystem))
      return { refused: 'invalid', why: 'booted_system: accepted is a path in /nix/store' };
    const late = this.#late(request.challenge);
    if (late !== undefined) return late;
    let signature: SshSignature;
    try {
      signature = decodeSshsig(request.signature);
    } catch (error) {
      if (error instanceof SshsigError) return { refused: 'invalid', why: `signature: ${error.message}` };
      throw error;
    }
    // The same words for each: a stranger learns nothing about who is known.
    const stranger = denied('no host of this name has this key');
    if (!holds(signature, checkInText(request, this.#world.fingerprint)))
      return denied('the signature is not over this');
    if (this.#world.life(host) === undefined || this.#world.relayOf?.(host) !== place.relay) return stranger;
    const placed = await this.#world.placedKey(host);
    if (placed === undefined || placed !== signature.publicKey) return stranger;
    // Asked again: another call may have come in between.
    const again = this.#late(request.challenge) ?? this.#use(request.challenge);
    if (again !== undefined) return again;
    this.#believe(request, placed, place.address === '' ? undefined : place.address);
    return undefined;
  }

  #late(challenge: Uint8Array): CheckInRefusal | undefined {
    const bytes = Buffer.from(challenge);
    const refusal: CheckInRefusal = {
      refused: 'unavailable',
      why: 'the challenge is not good any more; ask for another',
    };
    if (bytes.length !== 40 || !timingSafeEqual(this.#seal(bytes.subarray(0, 24)), bytes.subarray(24))) return refusal;
    if (this.#world.ticks() - bytes.readDoubleBE(0) > goodForMs) return refusal;
    return this.#used.has(bytes.toString('hex')) ? refusal : undefined;
  }

  #use(challenge: Uint8Array): CheckInRefusal | undefined {
    const now = this.#world.ticks();
    for (const [each, at] of this.#used) if (now - at > goodForMs) this.#used.delete(each);
    if (this.#used.size >= mostUsed) return { refused: 'unavailable', why: 'too many check-ins at once' };
    this.#used.set(Buffer.from(challenge).toString('hex'), now);
    return undefined;
  }

  /** The key is the placed one, and it is said now: what it says is its own word. */
  #believe(request: CheckInRequest, key: string, address: string | undefined): void {
    const { host, bootId, bootedSystem, unixMs } = request;
    const { log, happened, life, toplevel, now } = this.#world;
    const at = address === undefined ? '' : ` at ${address}`;
    log(host, `checked in${at}: it runs ${bootedSystem}`);
    const off = Math.abs(now() - Number(unixMs));
    if (off > clockOffMs) log(host, `its clock is off by ${Math.round(off / 1000)} s`);
    const { stage, bootId: installer } = life(host) ?? {};
    if (stage !== 'proving' || address === undefined) return;
    // Whoever is logged in to the installer can read the key there; the installed system is another boot.
    if (bootId === installer) {
      log(host, 'the check-in is of the boot of its installer, so it proves nothing');
      return;
    }
    this.#world.seenAt(host, address);
    if (bootedSystem === toplevel(host)) happened(host, { kind: 'proof-given', address, hostKey: key });
  }
}

function holds(signature: SshSignature, text: string): boolean {
  if (signature.namespace !== namespace) return false;
  const x = Buffer.from(signature.key).toString('base64url');
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  const digest = createHash(signature.hash).update(text).digest();
  return verify(null, signedBytes(signature, digest), key, signature.signature);
}
