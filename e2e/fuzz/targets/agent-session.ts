// An agent's stream: SessionRequests, each with two octets of length before it; the hello goes first and is right.
import { generateKeyPairSync, sign } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { SessionRequest, type SessionResponse } from '@nixie/proto/agent';
import { AgentSession } from '../../../controller/src/listen/agent-session.ts';
import { helloText, KnownCredentials } from '../../../controller/src/listen/hello.ts';
import type { Mac } from '../../../controller/src/machine/mac.ts';
import { makeCredential, readCredential } from '../../../controller/src/machine/token.ts';
import { must, type Target } from '../target.ts';
import { decoded, WireError } from '../wire-message.ts';

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const secret = new Uint8Array(32).fill(3);
const agentKey = publicKey.export({ type: 'spki', format: 'der' });
const credential = makeCredential(secret, { host: 'm', mac: '52:54:00:77:00:01' as Mac, bootId: 'b', agentKey });
const hello: SessionRequest = {
  message: {
    $case: 'hello',
    value: {
      bootId: 'b',
      address: '10.0.0.7',
      unixMs: 1n,
      signature: sign('sha256', helloText(credential, 'b', 1n), privateKey),
    },
  },
};
const encode = (message: SessionRequest['message']): Uint8Array => SessionRequest.encode({ message }).finish();
const framed = (...messages: Uint8Array[]): Uint8Array =>
  Uint8Array.from(messages.flatMap((each) => [each.length >> 8, each.length & 255, ...each]));
const log = encode({
  $case: 'log',
  value: {
    first: 1n,
    dropped: 0n,
    stream: 7n,
    unixMs: 9n,
    lines: [{ unixMs: 5n, source: 'kernel', text: '\u001b[1mhi', severity: 6 }],
  },
});
const beat = encode({ $case: 'heartbeat', value: { sequence: 1n, uptimeMs: 2n, memoryAvailableBytes: 3n } });
const progress = encode({
  $case: 'progress',
  value: { stage: 'copy', doneBytes: 1n, totalBytes: 2n, note: 'x', step: '' },
});
const result = encode({ $case: 'result', value: { id: 'i', ok: false, error: 'no', inventory: undefined } });

class Stream extends EventEmitter {
  readonly metadata = { get: () => [`Bearer ${credential}`] };
  written = 0;
  getPeer(): string {
    return '10.0.0.7:4711';
  }
  write(_response: SessionResponse): boolean {
    this.written++;
    return true;
  }
  end(): void {}
}

export const target: Target = {
  name: 'agent-session',
  seeds: [framed(beat, log, progress, result), framed(encode(hello.message)), framed(beat)],
  dictionary: [
    Uint8Array.of(0, 0),
    Uint8Array.of(0, 4),
    framed(beat),
    framed(log),
    Uint8Array.of(0x12, 0),
    '\u001b]0;',
    Uint8Array.of(255, 255, 255, 255, 255, 1),
  ],
  allowed: [],
  run(bytes) {
    const stream = new Stream();
    const heard: string[] = [];
    const session = new AgentSession(
      stream as unknown as ServerDuplexStream<SessionRequest, SessionResponse>,
      { address: '10.0.0.7', port: 4711 },
      1000,
      new KnownCredentials((text) => readCredential(secret, text), 10),
      {
        up: () => undefined,
        down: () => {},
        message: (_host, message) => void heard.push(message.$case),
        async log(_host, { lines, first }) {
          for (const line of lines)
            must(!/[\x00-\x1f\x7f]/.test(line.text + line.source), 'lines have no control characters');
          heard.push('log');
          return first;
        },
        odd: (_peer, what) => heard.push(`odd ${what}`),
      },
    );
    stream.emit('data', hello);
    must(session.about !== undefined, 'a right hello begins the session');
    for (let at = 0; at + 2 <= bytes.length; ) {
      const end = at + 2 + bytes[at]! * 256 + bytes[at + 1]!;
      let message: SessionRequest | undefined;
      try {
        message = decoded(SessionRequest, bytes.subarray(at + 2, end));
      } catch (error) {
        if (!(error instanceof WireError)) throw error;
      }
      if (message !== undefined) stream.emit('data', message);
      at = end;
    }
    session.end(1, 'over');
    const odd = heard.find((each) => each.startsWith('odd'));
    must(odd === undefined, `no message breaks the handler: ${odd}`);
    must(stream.written <= bytes.length, 'no message is answered more than once');
  },
};
