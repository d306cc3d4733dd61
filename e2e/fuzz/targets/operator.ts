// Messages of the operator's service and of installed systems, as the controller gets requests and the client gets answers.
import * as host from '@nixie/proto/host';
import * as operator from '@nixie/proto/operator';
import { bytesOf, must, type Target } from '../target.ts';
import { decoded, WireError } from '../wire-message.ts';

interface Message {
  decode(bytes: Uint8Array): unknown;
  encode(message: never): { finish(): Uint8Array };
}
const messages = Object.entries({ ...operator, ...host } as unknown as Record<string, Partial<Message>>)
  .filter((entry): entry is [string, Message] => typeof entry[1].decode === 'function')
  .sort(([a], [b]) => (a < b ? -1 : 1));

export const target: Target = {
  name: 'operator',
  seeds: messages.map((_, index) => Uint8Array.of(index, 10, 2, 65, 66)),
  dictionary: [bytesOf('\x0a\x08machine1'), Uint8Array.of(0x80, 0x80, 0x80, 0x80, 0x10), Uint8Array.of(0x12, 2, 8, 1)],
  allowed: [WireError],
  run(bytes) {
    const [, type] = messages[(bytes[0] ?? 0) % messages.length]!;
    const once = type.encode(decoded(type, bytes.subarray(1)) as never).finish();
    const twice = type.encode(type.decode(once) as never).finish();
    must(Buffer.compare(once, twice) === 0, 'what was encoded decodes to the same');
  },
};
