// One HTTP exchange with bounds on size and time, its body into memory that is there already.
import { type Agent, type IncomingHttpHeaders, request } from 'node:http';

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

export interface Exchange {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** The answer must fit. */
  readonly into: Buffer;
  /** Without a connection, without a byte, and in all; milliseconds. */
  readonly connectMs: number;
  readonly idleMs: number;
  readonly totalMs: number;
  readonly agent: Agent;
  /** Absent: whatever leads there. */
  readonly localAddress?: string | undefined;
  readonly signal: AbortSignal;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Why there was no answer. */
export class ExchangeError extends Error {
  override name = 'ExchangeError';
  readonly why: 'gone' | 'slow' | 'too-long' | 'called-off';
  constructor(why: ExchangeError['why'], text: string) {
    super(text);
    this.why = why;
  }
}

/** @throws ExchangeError */
export function exchange(to: Endpoint, what: Exchange): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { method, path, headers = {}, body, into, agent, localAddress, signal } = what;
    const sent = request({
      host: to.host,
      port: to.port,
      method,
      path,
      agent,
      ...(localAddress === undefined ? {} : { localAddress }),
      headers: body === undefined ? headers : { ...headers, 'Content-Length': Buffer.byteLength(body) },
    });
    let over = false;
    let idle: NodeJS.Timeout;
    const end = (call: () => void): void => {
      if (over) return;
      over = true;
      clearTimeout(idle);
      clearTimeout(total);
      signal.removeEventListener('abort', callOff);
      call();
    };
    const fail = (why: ExchangeError['why'], text: string): void =>
      end(() => {
        sent.destroy();
        reject(new ExchangeError(why, text));
      });
    const callOff = (): void => fail('called-off', 'called off');
    const alive = (ms: number): void => {
      clearTimeout(idle);
      idle = setTimeout(() => fail('slow', `nothing came for ${ms} ms`), ms);
    };
    const total = setTimeout(() => fail('slow', `not done after ${Math.round(what.totalMs)} ms`), what.totalMs);
    alive(what.connectMs);
    if (signal.aborted) return callOff();
    signal.addEventListener('abort', callOff, { once: true });
    sent.on('error', (error) => fail('gone', error.message));
    sent.on('response', (response) => {
      let length = 0;
      alive(what.idleMs);
      response.on('data', (piece: Buffer) => {
        if (over) return;
        if (length + piece.length > into.length) return fail('too-long', `more than ${into.length} bytes`);
        length += piece.copy(into, length);
        alive(what.idleMs);
      });
      response.on('error', (error) => fail('gone', error.message));
      response.on('aborted', () => fail('gone', 'cut'));
      response.on('end', () =>
        end(() =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: into.subarray(0, length) }),
        ),
      );
    });
    sent.end(body);
  });
}
