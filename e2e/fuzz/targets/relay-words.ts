// What a controller reads of relays besides messages: join tokens, places, the first line of ssh's door, lists of the state folder.
import { readSshLine } from '../../../controller/src/listen/ssh-door.ts';
import {
  endpointText,
  joinTokenText,
  parseEndpoint,
  parseJoinToken,
  parseRelayUrl,
  placeOf,
  TokenUnreadable,
} from '../../../controller/src/machine/relay.ts';
import { readRelayList } from '../../../controller/src/store/relays.ts';
import { bytesOf, must, type Target, text } from '../target.ts';

class NoList extends Error {}

const secret = new Uint8Array(32).fill(9);
const token = joinTokenText({ name: 'rack7', url: 'https://nixie:7482', fingerprint: 'ab'.repeat(32), secret });
const fields = (more: object) =>
  bytesOf(
    `nixie-relay-v1.${Buffer.from(JSON.stringify({ name: 'a', url: 'https://a', ...more })).toString('base64url')}`,
  );

export const target: Target = {
  name: 'relay-words',
  seeds: [
    bytesOf(token),
    fields({ fingerprint: 'ab'.repeat(32), secret: 'A'.repeat(43) }),
    bytesOf('rack7 10.0.0.9 22'),
    bytesOf('[fd00::1]:7482'),
    bytesOf('[::ffff:10.0.0.7]:4711'),
    bytesOf('[{"name":"rack7","secretHash":"00","madeAt":1,"url":"https://a"}]'),
  ],
  dictionary: ['nixie-relay-v1.', 'https://', ':7482', ' ', '\n', '[', ']', '::ffff:', 'e30', 'bnVsbA'],
  allowed: [TokenUnreadable, NoList],
  run(bytes) {
    const given = text(bytes);
    const endpoint = parseEndpoint(given);
    if (endpoint !== undefined) {
      must(endpoint.port >= 1 && endpoint.port <= 65_535, 'a port is one');
      must(!/[\s/@]/.test(endpoint.host), 'a host is a word');
      const again = parseEndpoint(endpointText(endpoint));
      must(again?.host === endpoint.host && again.port === endpoint.port, 'it is written as it is read');
    }
    parseRelayUrl(given);
    const { address } = placeOf(given);
    must(address === '' || /^\d+\.\d+\.\d+\.\d+$/.test(address), 'a place has an address or none');
    const wanted = readSshLine(given);
    must(wanted === undefined || `${wanted.relay} ${wanted.address} ${wanted.port}` === given, 'a line says one thing');
    try {
      readRelayList(given, 'relays.json', (entry) => entry);
    } catch (error) {
      must((error as Error).message.startsWith('read relays.json: '), 'an error names the file');
    }
    const read = parseJoinToken(given);
    must(read.secret.length === 32, 'a secret has 32 bytes');
    must(parseJoinToken(joinTokenText(read)).name === read.name, 'a token is written as it is read');
  },
};
