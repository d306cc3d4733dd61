// A relay's stream at the controller: FromRelay messages, each with two octets of length before it; the hello goes first and is right.
import { generateKeyPairSync, sign } from 'node:crypto';
import { EventEmitter } from 'node:events';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { FromRelay, RelayHello, type ToRelay } from '@nixie/proto/relay';
import { readFileServed, readRelaySeen } from '../../../controller/src/listen/relay-seen.ts';
import { RelaySession, signedBy } from '../../../controller/src/listen/relay-session.ts';
import { relayHelloText } from '../../../controller/src/machine/relay.ts';
import { must, type Target } from '../target.ts';
import { decoded, WireError } from '../wire-message.ts';

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const fingerprint = 'ab'.repeat(32);
const encode = (given: Parameters<typeof FromRelay.fromPartial>[0]): Uint8Array =>
  FromRelay.encode(FromRelay.fromPartial(given)).finish();
const framed = (...messages: Uint8Array[]): Uint8Array =>
  Uint8Array.from(messages.flatMap((each) => [each.length >> 8, each.length & 255, ...each]));
const one = {
  kind: 'tftp-stopped',
  mac: '52:54:00:00:00:01',
  machine: 'm1',
  interface: 'lan0\u001b',
  unixMs: 5n,
  done: 1,
};
const seen = encode({
  number: 1n,
  message: { $case: 'seen', value: { seen: [one, { kind: 'dhcp-silent', stranger: { uuid: 'u' } }] } },
});
const script = encode({ number: 2n, message: { $case: 'script', value: { machine: 'm1', token: 'a'.repeat(32) } } });
const file = encode({
  message: { $case: 'file', value: { file: `${'a'.repeat(64)}/kernel`, sentBytes: 1n, totalBytes: 2n } },
});
const found = encode({ message: { $case: 'found', value: { id: 1n, addresses: ['10.0.0.9'] } } });
const failed = encode({ message: { $case: 'failed', value: { id: 'x', why: '\u001b[2J' } } });

class Stream extends EventEmitter {
  readonly metadata = { get: () => [] };
  nonce: Uint8Array = new Uint8Array();
  getPeer(): string {
    return '192.0.2.7:4711';
  }
  write({ message }: ToRelay): boolean {
    if (message?.$case === 'challenge') this.nonce = message.value.nonce;
    return true;
  }
  end(): void {}
  paused = false;
  pause(): void {
    this.paused = true;
  }
}

export const target: Target = {
  name: 'relay-link',
  seeds: [framed(seen, script, file, found, failed), framed(seen), framed(file, file)],
  dictionary: [Uint8Array.of(0, 0), framed(script), 'm1', '52:54:00:00:00:01', '\u001b]0;', Uint8Array.of(0x58, 1)],
  allowed: [],
  async run(bytes) {
    const stream = new Stream();
    const odd: string[] = [];
    const clean = (text: string | undefined) => must(!/[\x00-\x1f\x7f]/.test(text ?? ''), 'words are clean');
    const session = new RelaySession(
      stream as unknown as ServerDuplexStream<FromRelay, ToRelay>,
      { fingerprint, version: 'x', helloMs: 1000, statusMs: 5000, ticks: () => 0 },
      {
        hello: async () => undefined,
        up: () => {},
        down: () => {},
        word(_session, { $case, value }) {
          if ($case === 'file') clean(readFileServed(value)?.remoteAddress);
          if ($case !== 'seen') return;
          for (const each of value.seen) {
            const read = readRelaySeen(each, 'rack7', (host) => host === 'm1', 1000);
            if (read === undefined) continue;
            must(read.machine === undefined || read.machine === 'm1', 'only its own machines are named');
            for (const word of [read.detail, read.why, read.interface, read.address, read.stranger?.uuid]) clean(word);
          }
        },
        failed: (_id, why) => clean(why),
        odd: (_peer, what) => void odd.push(what),
      },
    );
    const hello = RelayHello.fromPartial({
      name: 'rack7',
      secret: Buffer.alloc(32),
      key: publicKey.export({ type: 'spki', format: 'der' }),
      signature: sign(null, relayHelloText('rack7', fingerprint, stream.nonce), privateKey),
      interfaces: [{ name: 'lan0', address: '10.0.0.1', prefixLength: 24 }, { address: 'x' }],
    });
    stream.emit('data', { number: 0n, message: { $case: 'hello', value: hello } } satisfies FromRelay);
    await new Promise((resolve) => setImmediate(resolve));
    must(session.up && session.interfaces.length === 1, 'a right hello begins the link');
    // What is said too fast is not read any more.
    for (let at = 0; at + 2 <= bytes.length && !stream.paused; ) {
      const end = at + 2 + bytes[at]! * 256 + bytes[at + 1]!;
      try {
        const message = decoded(FromRelay, bytes.subarray(at + 2, end));
        if (message.message?.$case === 'hello')
          must(!signedBy(message.message.value, fingerprint, bytes), 'no forged hello');
        stream.emit('data', message);
      } catch (error) {
        if (!(error instanceof WireError)) throw error;
      }
      at = end;
    }
    session.end(1, 'over');
    const broken = odd.filter((what) => !/observations in one message/.test(what));
    must(broken.length === 0, `no message breaks the handler: ${broken[0]}`);
  },
};
