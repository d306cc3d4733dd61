// The relays that may join: who was given a token, and which key used it first. Tokens are written by `nixie relay-token` while a controller may be
// running, keys by the controller: two files, and whoever changes the first has it to himself. Neither holds a secret.
import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isRelayName } from '../machine/relay.ts';
import { handOver, replaceFile } from './file.ts';
import { realProcesses, takeLock } from './lock.ts';
import { places } from './places.ts';

export interface KeptToken {
  readonly name: string;
  /** SHA-256 of the secret, hex. */
  readonly secretHash: string;
  /** Milliseconds since 1970. */
  readonly madeAt: number;
  readonly revokedAt?: number;
  /** `https://HOST:PORT`, as the token says it. */
  readonly url: string;
}

interface BoundKey {
  readonly name: string;
  /** Of the token that it was bound to: a new token may be used by a new key. */
  readonly secretHash: string;
  /** SHA-256 of the SPKI form, hex. */
  readonly keyHash: string;
}

/** The last token of each name; of one that was revoked, that it was. */
export const mostRelays = 1000;

const tokensName = places.relays.name;
const keysName = places.relayKeys.name;
const relayList = { what: 'list of relays in', flag: '--state' } as const;
const hex64 = /^[0-9a-f]{64}$/;

const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** @throws Error naming the file: a list that can't be read must not be taken for an empty one, by which revoked relays would be forgotten */
export function readRelayTokens(stateDir: string): KeptToken[] {
  return readList(join(stateDir, tokensName), (entry) => {
    const { name, secretHash, madeAt, revokedAt, url } = entry;
    if (typeof name !== 'string' || !isRelayName(name)) return undefined;
    if (typeof secretHash !== 'string' || !hex64.test(secretHash)) return undefined;
    if (typeof madeAt !== 'number' || typeof url !== 'string') return undefined;
    if (revokedAt !== undefined && typeof revokedAt !== 'number') return undefined;
    return { name, secretHash, madeAt, url, ...(revokedAt !== undefined && { revokedAt }) };
  });
}

/**
 * Puts a token in the place of an earlier one of that name, which is good for nothing any more.
 * @param handOut gives the token to whom it is for, before the one from before it is good no more
 * @returns the one from before, unless it was revoked
 * @throws StateTaken when the list is being changed this moment; Error naming the file
 */
export function keepRelayToken(
  stateDir: string,
  token: Omit<KeptToken, 'secretHash'>,
  secret: Uint8Array,
  handOut: () => void = () => {},
): KeptToken | undefined {
  return alone(stateDir, () => {
    const tokens = readRelayTokens(stateDir);
    const others = tokens.filter((each) => each.name !== token.name);
    if (others.length >= mostRelays) throw new Error(`make token: there are ${mostRelays} relays already`);
    handOut();
    writeList(stateDir, tokensName, [...others, { ...token, secretHash: hash(secret) }]);
    return tokens.find((each) => each.name === token.name && each.revokedAt === undefined);
  });
}

/**
 * @returns false when there is no token of that name that could be revoked
 * @throws StateTaken when the list is being changed this moment; Error naming the file
 */
export function revokeRelayToken(stateDir: string, name: string, now: number): boolean {
  const isIt = (each: KeptToken) => each.name === name && each.revokedAt === undefined;
  // Where there is none there may be no folder either.
  if (!readRelayTokens(stateDir).some(isIt)) return false;
  return alone(stateDir, () => {
    const tokens = readRelayTokens(stateDir);
    if (!tokens.some(isIt)) return false;
    writeList(
      stateDir,
      tokensName,
      tokens.map((each) => (isIt(each) ? { ...each, revokedAt: now } : each)),
    );
    return true;
  });
}

/** Of two that read the list and then write it, the second would undo what the first has done: a token, or a revocation. */
function alone<T>(stateDir: string, act: () => T): T {
  const release = takeLock(stateDir, realProcesses, relayList, { name: places.relaysLock.name });
  try {
    return act();
  } finally {
    release();
  }
}

/** Names of the relays whose token has been used. */
export function joinedRelays(stateDir: string): ReadonlySet<string> {
  const tokens = new Map(readRelayTokens(stateDir).map((each) => [each.name, each.secretHash]));
  return new Set(
    readKeys(stateDir)
      .filter(({ name, secretHash }) => tokens.get(name) === secretHash)
      .map(({ name }) => name),
  );
}

/** Why a relay isn't taken in; each has its own words for the operator, and none for the relay. */
export type RelayVerdict = 'ok' | 'unknown' | 'wrong-secret' | 'revoked' | 'other-key';

/** What a running controller reads of it. */
export class RelayShelf {
  readonly #stateDir: string;
  readonly #warn: (text: string) => void;
  #tokens: readonly KeptToken[] = [];
  #keys: BoundKey[] = [];
  #seen: string | undefined;
  /** The file that couldn't be read, and was told of. */
  #unread: string | undefined;

  /** @param warn told what can't be read or written; the last that was read stays in force */
  constructor(stateDir: string, warn: (text: string) => void) {
    this.#stateDir = stateDir;
    this.#warn = warn;
    try {
      this.#keys = readKeys(stateDir);
    } catch (error) {
      // Nobody is locked out by it, and each token is bound again by its next use.
      warn(`keys of relays are forgotten: ${(error as Error).message}`);
    }
    this.refresh();
  }

  /** Reads the tokens again if the file is another one. @returns whether it was */
  refresh(): boolean {
    const file = join(this.#stateDir, tokensName);
    const stat = statSync(file, { throwIfNoEntry: false });
    const seen = stat === undefined ? 'none' : `${stat.ino} ${stat.mtimeMs} ${stat.size}`;
    if (seen === this.#seen) return false;
    try {
      this.#tokens = readRelayTokens(this.#stateDir);
      this.#seen = seen;
      this.#unread = undefined;
      return true;
    } catch (error) {
      // Tried again at the next look: a revocation must not be missed.
      if (this.#unread !== seen) this.#warn((error as Error).message);
      this.#unread = seen;
      return false;
    }
  }

  /** Those that may join. */
  names(): readonly string[] {
    return this.#tokens.filter(({ revokedAt }) => revokedAt === undefined).map(({ name }) => name);
  }

  /** Is this relay with this secret and key the one that the token was made for? The key is bound by its first use. */
  admit(name: string, secret: Uint8Array, key: Uint8Array): RelayVerdict {
    this.refresh();
    const verdict = this.check(name, secret, key);
    if (verdict !== 'ok') return verdict;
    const token = this.#tokens.find((each) => each.name === name)!;
    const { secretHash } = token;
    if (!this.#keys.some((each) => each.name === name && each.secretHash === secretHash)) {
      this.#keys = [...this.#keys.filter((each) => each.name !== name), { name, secretHash, keyHash: hash(key) }];
      try {
        writeList(this.#stateDir, keysName, this.#keys);
      } catch (error) {
        this.#warn(`the key of relay ${name} is known in this run only: ${(error as Error).message}`);
      }
    }
    return 'ok';
  }

  /** The same without binding anything. */
  check(name: string, secret: Uint8Array, key: Uint8Array): RelayVerdict {
    const token = this.#tokens.find((each) => each.name === name);
    if (token === undefined) return 'unknown';
    if (!timingSafeEqual(Buffer.from(hash(secret), 'hex'), Buffer.from(token.secretHash, 'hex'))) return 'wrong-secret';
    if (token.revokedAt !== undefined) return 'revoked';
    const bound = this.#keys.find((each) => each.name === name && each.secretHash === token.secretHash);
    return bound === undefined || bound.keyHash === hash(key) ? 'ok' : 'other-key';
  }

  /** Is the token that a relay joined with the one of its name still? */
  holds(name: string, secretHash: string): boolean {
    return this.#tokens.some(
      (each) => each.name === name && each.secretHash === secretHash && each.revokedAt === undefined,
    );
  }
}

/** As in `KeptToken`. */
export const secretHashOf = hash;

function readKeys(stateDir: string): BoundKey[] {
  return readList(join(stateDir, keysName), ({ name, secretHash, keyHash }) => {
    if (typeof name !== 'string' || !isRelayName(name)) return undefined;
    if (typeof secretHash !== 'string' || typeof keyHash !== 'string') return undefined;
    return hex64.test(secretHash) && hex64.test(keyHash) ? { name, secretHash, keyHash } : undefined;
  });
}

function readList<T>(file: string, read: (entry: Record<string, unknown>) => T | undefined): T[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new Error(`read ${file}: ${(error as Error).message}`, { cause: error });
  }
  return readRelayList(text, file, read);
}

/** @throws Error naming the file, for text of any kind that this program hasn't written */
export function readRelayList<T>(
  text: string,
  file: string,
  read: (entry: Record<string, unknown>) => T | undefined,
): T[] {
  let entries: unknown;
  try {
    entries = JSON.parse(text);
  } catch (error) {
    throw new Error(`read ${file}: ${(error as Error).message}`, { cause: error });
  }
  if (!Array.isArray(entries)) throw new Error(`read ${file}: it is no list`);
  return entries.map((entry: unknown, index) => {
    const value = typeof entry === 'object' && entry !== null ? read(entry as Record<string, unknown>) : undefined;
    if (value === undefined) throw new Error(`read ${file}: entry ${index + 1} is damaged`);
    return value;
  });
}

/** What root writes for a service belongs to whom the folder belongs to: the service must be able to read it. */
function writeList(stateDir: string, name: string, entries: readonly object[]): void {
  const file = join(stateDir, name);
  replaceFile(file, `${JSON.stringify(entries, null, 2)}\n`);
  handOver(file);
}
