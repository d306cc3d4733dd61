// What a controller sends to an agent: the first octet tells a registration's answer from a message of the session.
import { RegisterResponse, SessionResponse, type UseCache } from '@nixie/proto/agent';
import { Inventory } from '@nixie/proto/inventory';
import { isKeyLine, mergeKeys } from '../../../agent/src/authorized-keys.ts';
import { Instructions } from '../../../agent/src/instructions.ts';
import { cacheSettings, mergeSettings } from '../../../agent/src/use-cache.ts';
import { must, type Target } from '../target.ts';
import { decoded, WireError } from '../wire-message.ts';

const actions: NonNullable<
  NonNullable<Extract<SessionResponse['message'], { $case: 'instruction' }>>['value']['action']
>[] = [
  { $case: 'inspect', value: {} },
  { $case: 'resetDisks', value: {} },
  { $case: 'abort', value: {} },
  { $case: 'reboot', value: { delayMs: 5 } },
  { $case: 'powerOff', value: { delayMs: 5 } },
  { $case: 'useCache', value: { port: 7480, path: '/nix', publicKey: `a-1:${'A'.repeat(43)}=` } },
];
const instruct = (action: (typeof actions)[number]): Uint8Array =>
  Uint8Array.of(
    1,
    ...SessionResponse.encode({ message: { $case: 'instruction', value: { id: 'i', action } } }).finish(),
  );

/** None when it is refused. */
function named(cache: UseCache): string[] {
  try {
    return cacheSettings(cache, '10.0.0.1:7481');
  } catch (error) {
    must((error as Error).message.startsWith('binary cache: '), 'a refusal says of what');
    return [];
  }
}

export const target: Target = {
  name: 'agent-instructions',
  seeds: [
    ...actions.map(instruct),
    Uint8Array.of(1, ...SessionResponse.encode({ message: { $case: 'ack', value: { sequence: 1n } } }).finish()),
    Uint8Array.of(
      0,
      ...RegisterResponse.encode({
        credential: 'c',
        host: 'm',
        authorizedKeys: [`ssh-ed25519 ${'A'.repeat(68)} x`],
        heartbeatMs: 5000,
      }).finish(),
    ),
  ],
  dictionary: ['ssh-rsa AAAAAAAAAAAAAAAAAAAA', Uint8Array.of(0x1a, 0), Uint8Array.of(255, 255, 255, 255, 15)],
  allowed: [WireError],
  async run(bytes) {
    if (bytes[0] === 0) {
      const { authorizedKeys } = decoded(RegisterResponse, bytes.subarray(1));
      const lines = mergeKeys('', authorizedKeys).split('\n').slice(1, -1);
      must(lines.every(isKeyLine), 'only key lines are written');
      return;
    }
    const { message } = decoded(SessionResponse, bytes.subarray(1));
    if (message?.$case !== 'instruction') return;
    const instructions = new Instructions({
      authorize: () => {},
      inspect: async () => Inventory.fromPartial({}),
      resetDisks: async () => {},
      linkDisk: async () => {},
      abort: async () => {},
      useCache: (cache) => {
        // Each setting is one line, and the lines of others stay.
        const lines = mergeSettings('cores = 2\n', named(cache)).split('\n').slice(0, -1);
        must(lines[0] === 'cores = 2' && (lines.length === 1 || lines.length === 12), 'ours or none');
        must(
          lines.every((line) => /^(?:#.*|[a-z-]+ = [\x21-\x7e]+)$/.test(line) || line === 'cores = 2'),
          'settings of one word',
        );
      },
      power: () => {},
    });
    const result = await instructions.run(message.value);
    must(result.id === message.value.id, 'the answer is that of the instruction');
  },
};
