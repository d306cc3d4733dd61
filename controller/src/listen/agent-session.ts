// One agent's stream: who it is, what it may send, and that nothing it sends can stop the controller.
import { type ServerDuplexStream, type ServiceError, status } from '@grpc/grpc-js';
import type { Instruction, LogBatch, SessionRequest, SessionResponse } from '@nixie/proto/agent';
import { type Place, placeText } from '../machine/relay.ts';
import { checkHello, type KnownCredentials } from './hello.ts';
import { cleanLine } from './log-line.ts';

/** What is known of a session. */
export interface SessionUp {
  readonly mac: string;
  readonly bootId: string;
  /** Of the machine, as its agent saw it. */
  readonly address: string;
  /** Of the connection, as we see it. */
  readonly place: Place;
  /** An older session that ends with this one. */
  readonly replaces?: SessionUp;
}

type Message = NonNullable<SessionRequest['message']>;

export interface SessionEvents {
  /** @returns why not */
  up(host: string, about: SessionUp): Partial<ServiceError> | undefined;
  down(host: string | undefined, why: string): void;
  message(host: string, message: Exclude<Message, { $case: 'hello' | 'log' }>): void;
  /** @returns what may be acknowledged, once more can be taken; undefined: nothing */
  log(host: string, batch: LogBatch): Promise<bigint | undefined>;
  odd(peer: string, what: string): void;
}

/** One batch holds at most this many lines; an honest agent sends 200. */
const mostLines = 500;
/** Answers that an agent does not read pile up in memory; beyond this many it is cut off. */
const mostUnread = 1000;

/** Lines within bounds and without control bytes. What does not fit counts as not sent: an honest agent stays within the bounds. */
export function boundBatch(batch: LogBatch): LogBatch {
  const lines = batch.lines.slice(0, mostLines).map(({ unixMs, source, text, severity }) => ({
    unixMs,
    source: cleanLine(source, 64),
    text: cleanLine(text),
    severity: severity !== undefined && severity <= 7 ? severity : undefined,
  }));
  // Without acknowledgement nobody sends it again.
  const lost = batch.stream === 0n ? BigInt(batch.lines.length - lines.length) : 0n;
  return { ...batch, lines, dropped: batch.dropped + lost };
}

export class AgentSession {
  /** Undefined until the hello was checked. */
  about: SessionUp | undefined;
  #host: string | undefined;
  #over = false;
  #unread = 0;
  readonly #stream: ServerDuplexStream<SessionRequest, SessionResponse>;
  readonly #events: SessionEvents;
  readonly #place: Place;
  readonly #peer: string;
  readonly #helloTimer: NodeJS.Timeout;

  constructor(
    stream: ServerDuplexStream<SessionRequest, SessionResponse>,
    place: Place,
    helloMs: number,
    credentials: Pick<KnownCredentials, 'find'>,
    events: SessionEvents,
  ) {
    this.#stream = stream;
    this.#events = events;
    this.#place = place;
    this.#peer = placeText(place);
    this.#helloTimer = setTimeout(() => this.end(status.DEADLINE_EXCEEDED, 'no hello'), helloMs);
    const bearer = /^Bearer (\S+)$/.exec(String(stream.metadata.get('authorization')[0] ?? ''))?.[1];
    stream.on('data', (request: SessionRequest) => {
      if (this.#over) return;
      try {
        if (this.#host !== undefined) this.#message(this.#host, request.message);
        else {
          const why = this.#hello(request.message, bearer, credentials);
          if (why) this.end(why.code ?? status.UNKNOWN, why.details ?? '');
        }
      } catch (error) {
        events.odd(this.#peer, `session of ${this.#host ?? 'nobody yet'}: ${(error as Error).message}`);
        this.end(status.INTERNAL, 'the controller failed to handle a message');
      }
    });
    stream.on('error', (error: Error) => this.#finish(error.message));
    stream.on('cancelled', () => this.#finish('the connection was lost'));
    stream.on('close', () => this.#finish('the stream was closed'));
    stream.on('end', () => this.end(status.OK, 'the agent ended the session, or its connection broke'));
    stream.on('drain', () => {
      this.#unread = 0;
    });
  }

  /** @returns why the session can't begin; undefined once it has */
  #hello(
    message: Message | undefined,
    bearer: string | undefined,
    credentials: Pick<KnownCredentials, 'find'>,
  ): Partial<ServiceError> | undefined {
    const known = bearer === undefined ? undefined : credentials.find(bearer);
    if (!known || bearer === undefined) return { code: status.UNAUTHENTICATED, details: 'no good credential' };
    if (message?.$case !== 'hello') return { code: status.INVALID_ARGUMENT, details: 'the first message is not hello' };
    const { credential } = known;
    if (!checkHello(known, bearer, message.value)) {
      this.#events.odd(this.#peer, `hello of ${credential.host} has a wrong signature`);
      return { code: status.UNAUTHENTICATED, details: 'the signature is not by the key that registered' };
    }
    const about: SessionUp = {
      mac: credential.mac,
      bootId: credential.bootId,
      address: cleanLine(message.value.address, 64),
      place: this.#place,
    };
    clearTimeout(this.#helloTimer);
    const refusal = this.#events.up(credential.host, about);
    if (refusal) return refusal;
    this.#host = credential.host;
    this.about = about;
    return undefined;
  }

  #message(host: string, message: Message | undefined): void {
    if (message === undefined) return; // of a newer agent
    switch (message.$case) {
      case 'hello':
        this.end(status.INVALID_ARGUMENT, 'a second hello');
        break;
      case 'heartbeat':
        this.#write({ message: { $case: 'ack', value: { sequence: message.value.sequence } } });
        this.#events.message(host, message);
        break;
      case 'log':
        this.#log(host, boundBatch(message.value));
        break;
      default:
        this.#events.message(host, message);
    }
  }

  #log(host: string, batch: LogBatch): void {
    const { stream } = batch;
    this.#events.log(host, batch).then(
      (next) => {
        if (next !== undefined) this.#write({ message: { $case: 'log', value: { stream, next } } });
      },
      (error: Error) => {
        this.#events.odd(this.#peer, `log of ${host}: ${error.message}`);
        this.end(status.INTERNAL, 'the controller failed to handle log lines');
      },
    );
  }

  readonly instruct = (instruction: Instruction): void => {
    this.#write({ message: { $case: 'instruction', value: instruction } });
  };

  #write(response: SessionResponse): void {
    if (this.#over) return;
    if (!this.#stream.write(response)) this.#unread += 1;
    if (this.#unread > mostUnread) this.end(status.RESOURCE_EXHAUSTED, 'the agent does not read');
  }

  /** Ends the stream with a status. Doing it twice is harmless. */
  end(code: status, details: string): void {
    if (this.#over) return;
    this.#finish(details);
    if (code === status.OK) this.#stream.end();
    else this.#stream.emit('error', { code, details });
  }

  #finish(why: string): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#helloTimer);
    try {
      this.#events.down(this.#host, why);
    } catch (error) {
      this.#events.odd(this.#peer, `end of session: ${(error as Error).message}`);
    }
  }
}
