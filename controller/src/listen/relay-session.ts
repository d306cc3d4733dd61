// One relay's link, as the controller sees it: who it is, what it may say and how often, and that nothing it says can stop the controller.
import { createPublicKey, randomBytes, verify } from 'node:crypto';
import { isIPv4 } from 'node:net';
import { type ServerDuplexStream, type ServiceError, status } from '@grpc/grpc-js';
import type { BootPlan, FromRelay, RelayHello, RelayInterface, ToRelay } from '@nixie/proto/relay';
import { NotLooked } from '../core/place.ts';
import type { RelayLink, WakeReport } from '../core/relays.ts';
import type { Mac } from '../machine/mac.ts';
import { relayHelloText } from '../machine/relay.ts';
import { parseAddress } from '../wire/dhcp4/address.ts';
import { cleanLine } from './log-line.ts';
import { TokenBucket } from './token-bucket.ts';

type Said = NonNullable<FromRelay['message']>;
type Told = NonNullable<ToRelay['message']>;
/** What those are told who decide; questions and their answers stay here. */
export type RelayWord = Extract<Said, { $case: 'planTaken' | 'status' | 'seen' | 'script' | 'file' }>;

export interface RelaySessionEvents {
  /**
   * Who it is was checked. May this one be the link of its name? It may take a moment.
   * @returns why not
   */
  hello(session: RelaySession, hello: RelayHello): Promise<Partial<ServiceError> | undefined>;
  /** From now on words come. */
  up(session: RelaySession): void;
  /** Not called for one that was never up. */
  down(session: RelaySession, why: string): void;
  /** @param number 0n: it is said once. Others come again until they were heard */
  word(session: RelaySession, word: RelayWord, number: bigint): void;
  /** The relay couldn't open a connection that was asked for. */
  failed(id: string, why: string): void;
  odd(peer: string, what: string): void;
}

export interface RelaySessionSettings {
  readonly fingerprint: string;
  readonly version: string;
  readonly helloMs: number;
  readonly statusMs: number;
  /** Milliseconds of a clock that nobody sets. */
  readonly ticks: () => number;
}

/**
 * Words at once, and then so many a second; of observations each one counts. Nothing more is read until there is room, so that what is above waits
 * at the relay, which drops by what it is worth, and tells how much.
 */
const wordsAtOnce = 10_000;
const wordsPerSecond = 1000;
const scriptsAtOnce = 2000;
const scriptsPerSecond = 100;
/** Observations in one message; a relay of ours collects 2000. */
const mostSeenAtOnce = 5000;
/** Messages that a relay doesn't read pile up in memory; beyond this many it is cut off. */
const mostUnread = 2000;
const mostInterfaces = 64;

interface WhereFound {
  readonly addresses: readonly string[];
  /** Why it could not look. Empty: it did. */
  readonly failed: string;
}

export class RelaySession implements RelayLink {
  readonly peer: string;
  /** Good while this link lives; what Carry and Fetch show. */
  readonly credential = randomBytes(32).toString('base64url');
  name = '';
  version = '';
  life = '';
  secret: Uint8Array = new Uint8Array();
  interfaces: readonly RelayInterface[] = [];
  #state: 'greeting' | 'asking' | 'up' | 'over' = 'greeting';
  #unread = 0;
  /** Plans that the uplink has not taken yet. */
  #leaving = 0;
  #heard: bigint | undefined;
  #lastHeardMs: number;
  #nextId = 1n;
  #dropped = 0;
  /** Ends while one word has to wait, and all after it. */
  #held: NodeJS.Timeout | undefined;
  readonly #words = new TokenBucket(wordsAtOnce, wordsPerSecond);
  readonly #scripts = new TokenBucket(scriptsAtOnce, scriptsPerSecond);
  readonly #finds = new Map<bigint, (found: WhereFound) => void>();
  readonly #wakes = new Map<bigint, (report: WakeReport) => void>();
  readonly #nonce = randomBytes(32);
  readonly #stream: ServerDuplexStream<FromRelay, ToRelay>;
  readonly #settings: RelaySessionSettings;
  readonly #events: RelaySessionEvents;
  readonly #helloTimer: NodeJS.Timeout;

  constructor(
    stream: ServerDuplexStream<FromRelay, ToRelay>,
    settings: RelaySessionSettings,
    events: RelaySessionEvents,
  ) {
    this.#stream = stream;
    this.#settings = settings;
    this.#events = events;
    this.peer = stream.getPeer();
    this.#lastHeardMs = settings.ticks();
    this.#helloTimer = setTimeout(() => this.end(status.DEADLINE_EXCEEDED, 'no hello'), settings.helloMs);
    stream.on('data', (message: FromRelay) => {
      if (this.#state === 'over') return;
      this.#take(message);
    });
    stream.on('error', (error: Error) => this.#finish(error.message));
    stream.on('cancelled', () => this.#finish('the connection was lost'));
    stream.on('close', () => this.#finish('the stream was closed'));
    // The end of a connection that broke comes first, and says the same.
    stream.on('end', () =>
      setImmediate(() =>
        this.end(status.OK, stream.cancelled ? 'the connection was lost' : 'the relay ended the link'),
      ),
    );
    stream.on('drain', () => {
      this.#unread = 0;
    });
    this.#write({ $case: 'challenge', value: { nonce: this.#nonce } });
  }

  get up(): boolean {
    return this.#state === 'up';
  }

  get silentMs(): number {
    return this.#held === undefined ? this.#settings.ticks() - this.#lastHeardMs : 0;
  }

  /** Observations that were not taken. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Does it answer, within the time? Whatever it says is an answer. */
  alive(withinMs: number): Promise<boolean> {
    const asked = this.#settings.ticks();
    this.#write({ $case: 'ping', value: this.#nextId++ });
    return new Promise((resolve) => {
      const look = setInterval(() => {
        const heard = this.#state === 'up' && (this.#lastHeardMs > asked || this.#held !== undefined);
        if (!heard && this.#state === 'up' && this.#settings.ticks() - asked < withinMs) return;
        clearInterval(look);
        resolve(heard);
      }, 20);
    });
  }

  get busy(): boolean {
    return this.#leaving > 0;
  }

  sendPlan(plan: BootPlan): void {
    this.#leaving++;
    this.#write({ $case: 'plan', value: plan }, () => this.#leaving--);
  }

  open(id: string, address: string, port: number): void {
    this.#write({ $case: 'open', value: { id, address, port } });
  }

  async find(macs: readonly Mac[], deadlineMs: number): Promise<readonly string[]> {
    const none = { addresses: [], failed: `relay ${this.name} did not say within ${deadlineMs / 1000} s who is there` };
    const { addresses, failed } = await this.#ask<WhereFound>(this.#finds, deadlineMs, none, (id) => ({
      $case: 'find',
      value: { id, macs: [...macs] },
    }));
    // What was found is there, whatever else could not be looked at.
    if (addresses.length === 0 && failed !== '') throw new NotLooked(failed);
    return addresses;
  }

  wake(mac: Mac, deadlineMs: number): Promise<WakeReport> {
    const none = { sent: 0, failures: [`relay ${this.name} did not answer`] };
    return this.#ask<WakeReport>(this.#wakes, deadlineMs, none, (id) => ({
      $case: 'wake',
      value: { id, mac, secureOn: Buffer.alloc(0) },
    }));
  }

  /** Ends the stream with a status. Doing it twice is harmless. */
  end(code: status, details: string): void {
    if (this.#state === 'over') return;
    this.#finish(details);
    if (code === status.OK) this.#stream.end();
    else this.#stream.emit('error', { code, details });
  }

  #ask<Answer>(
    waiting: Map<bigint, (answer: Answer) => void>,
    deadlineMs: number,
    otherwise: Answer,
    say: (id: bigint) => Told,
  ): Promise<Answer> {
    if (this.#state !== 'up') return Promise.resolve(otherwise);
    const id = this.#nextId++;
    return new Promise((resolve) => {
      const end = (answer: Answer) => {
        clearTimeout(late);
        waiting.delete(id);
        resolve(answer);
      };
      const late = setTimeout(() => end(otherwise), deadlineMs);
      waiting.set(id, end);
      this.#write(say(id));
    });
  }

  #take(message: FromRelay): void {
    this.#lastHeardMs = this.#settings.ticks();
    const waitMs = this.#state === 'up' ? this.#waitFor(message.message) : 0;
    if (waitMs > 0) {
      this.#stream.pause();
      this.#held = setTimeout(() => {
        this.#held = undefined;
        this.#take(message);
        if (this.#held === undefined) this.#stream.resume();
      }, Math.ceil(waitMs));
      return;
    }
    try {
      this.#message(message);
    } catch (error) {
      this.#events.odd(this.peer, `link of ${this.name || 'nobody yet'}: ${(error as Error).message}`);
      this.end(status.INTERNAL, 'the controller failed to handle a message');
    }
  }

  /** Milliseconds until there is room for it. Scripts are few: those about bytes sent must not take their room. */
  #waitFor(said: FromRelay['message']): number {
    const now = this.#settings.ticks();
    switch (said?.$case) {
      case 'script':
        return this.#scripts.takeOrWait(1, now);
      case 'seen':
        return this.#words.takeOrWait(Math.min(mostSeenAtOnce, Math.max(1, said.value.seen.length)), now);
      case 'planTaken':
      case 'status':
      case 'file':
        return this.#words.takeOrWait(1, now);
      default:
        return 0;
    }
  }

  #message({ message, number }: FromRelay): void {
    if (message === undefined) return; // of a newer relay
    if (this.#state !== 'up') {
      if (message.$case === 'hello' && this.#state === 'greeting') void this.#hello(message.value);
      else if (this.#state === 'greeting') this.end(status.INVALID_ARGUMENT, 'the first message is not hello');
      return;
    }
    switch (message.$case) {
      case 'hello':
        this.end(status.INVALID_ARGUMENT, 'a second hello');
        break;
      case 'pong':
        break;
      case 'found': {
        const { id, failed } = message.value;
        // They go into command lines.
        const addresses = message.value.addresses.slice(0, 64).filter((each) => isIPv4(each));
        const why = failed === '' ? '' : `relay ${this.name} could not look: ${cleanLine(failed, 256)}`;
        this.#finds.get(id)?.({ addresses, failed: why });
        break;
      }
      case 'woken': {
        const { id, sent, failures } = message.value;
        this.#wakes.get(id)?.({ sent, failures: failures.slice(0, 16).map((each) => cleanLine(each, 256)) });
        break;
      }
      case 'failed':
        this.#events.failed(message.value.id, cleanLine(message.value.why, 256));
        break;
      default:
        if (message.$case === 'seen' && message.value.seen.length > mostSeenAtOnce) {
          this.#dropped += message.value.seen.length;
          this.#events.odd(
            this.name,
            `it tells of more than ${mostSeenAtOnce} observations in one message; they were dropped`,
          );
        } else this.#events.word(this, message, number);
        if (number > 0n) this.#hear(number);
    }
  }

  /** What arrives in the same moment is acknowledged together. */
  #hear(number: bigint): void {
    const first = this.#heard === undefined;
    this.#heard = number;
    if (!first) return;
    setImmediate(() => {
      const heard = this.#heard;
      this.#heard = undefined;
      if (heard !== undefined) this.#write({ $case: 'heard', value: heard });
    });
  }

  async #hello(hello: RelayHello): Promise<void> {
    this.#state = 'asking';
    clearTimeout(this.#helloTimer);
    const refusal = signedBy(hello, this.#settings.fingerprint, this.#nonce)
      ? await this.#events.hello(this, hello)
      : { code: status.UNAUTHENTICATED, details: 'the signature is not by the key' };
    // It may be gone meanwhile.
    if (this.#state !== 'asking') return;
    if (refusal !== undefined) return this.end(refusal.code ?? status.UNAUTHENTICATED, refusal.details ?? '');
    this.name = hello.name;
    this.version = cleanLine(hello.version, 64);
    this.life = cleanLine(hello.life, 64);
    this.secret = hello.secret;
    this.interfaces = hello.interfaces
      .slice(0, mostInterfaces)
      .filter(({ address, prefixLength }) => parseAddress(address) !== undefined && prefixLength <= 32)
      .map((each) => ({ ...each, name: cleanLine(each.name, 16) }));
    this.#state = 'up';
    this.#write({
      $case: 'welcome',
      value: {
        credential: this.credential,
        controllerVersion: this.#settings.version,
        statusMs: this.#settings.statusMs,
      },
    });
    this.#events.up(this);
  }

  /** @param left called when the uplink has taken it */
  #write(message: Told, left?: () => void): void {
    if (this.#state === 'over') return;
    if (!this.#stream.write({ message }, left)) this.#unread += 1;
    if (this.#unread > mostUnread) this.end(status.RESOURCE_EXHAUSTED, 'the relay does not read');
  }

  #finish(why: string): void {
    if (this.#state === 'over') return;
    const wasUp = this.#state === 'up';
    this.#state = 'over';
    clearTimeout(this.#helloTimer);
    clearTimeout(this.#held);
    this.#held = undefined;
    const failed = `the link of relay ${this.name} was lost`;
    for (const end of [...this.#finds.values()]) end({ addresses: [], failed });
    for (const end of [...this.#wakes.values()]) end({ sent: 0, failures: [failed] });
    if (!wasUp) return;
    try {
      this.#events.down(this, why);
    } catch (error) {
      this.#events.odd(this.peer, `end of link: ${(error as Error).message}`);
    }
  }
}

/** Is the challenge signed by the Ed25519 key that the hello names? Never throws. */
export function signedBy(hello: RelayHello, fingerprint: string, nonce: Uint8Array): boolean {
  try {
    if (hello.secret.length !== 32 || hello.key.length > 64 || hello.name.length > 64) return false;
    const key = createPublicKey({ key: Buffer.from(hello.key), format: 'der', type: 'spki' });
    if (key.asymmetricKeyType !== 'ed25519') return false;
    return verify(null, relayHelloText(hello.name, fingerprint, nonce), key, hello.signature);
  } catch {
    return false;
  }
}
