// What a relay says that it saw → as our own front doors would have said it, or nothing: it is the word of a stranger until it is known to be of a
// machine of that relay.
import type { FileServed, SeenOne } from '@nixie/proto/relay';
import { type Mac, parseMac } from '../machine/mac.ts';
import type { FileProgress } from './http.ts';
import { cleanLine } from './log-line.ts';
import type { Seen, SeenKind } from './seen.ts';

/** All that a relay may have seen. */
const kinds: readonly string[] = [
  'dhcp-answered',
  'dhcp-silent',
  'dhcp-malformed',
  'dhcp-limited',
  'dhcp-flood',
  'dhcp-unsent',
  'other-offer',
  'tftp-started',
  'tftp-resending',
  'tftp-sent',
  'tftp-probed',
  'tftp-stopped',
  'tftp-refused',
  'http-script',
  'http-file',
  'http-refused',
] satisfies SeenKind[];
const askedWords = /^[A-Z]{3,16}$/;
const clientWords = /^[a-z-]{2,16}$/;
const longest = 256;
/** Its clock may be off; what it saw waited for its uplink for no longer than this, and comes from no future. Milliseconds. */
const oldestMs = 7 * 86_400_000;

/**
 * @param owns is the host one of this relay's?
 * @param now milliseconds since 1970
 */
export function readRelaySeen(
  one: SeenOne,
  relay: string,
  owns: (host: string) => boolean,
  now: number,
): Seen | undefined {
  if (!kinds.includes(one.kind)) return undefined;
  const mac = readMac(one.mac);
  const at = Number(one.unixMs);
  const words: Record<string, unknown> = {};
  for (const name of ['interface', 'address', 'why', 'detail', 'server', 'giaddr'] as const)
    if (one[name] !== '') words[name] = cleanLine(one[name], longest);
  for (const name of ['done', 'total', 'blockSize', 'again'] as const)
    if (one[name] !== undefined) words[name] = one[name];
  if (askedWords.test(one.asked)) words.asked = one.asked;
  if (clientWords.test(one.client)) words.client = one.client;
  if (one.port > 0 && one.port < 65_536) words.port = one.port;
  const machine = owns(one.machine) ? one.machine : undefined;
  // A stranger is one only as long as nobody knows it.
  if (one.stranger !== undefined && machine === undefined) {
    const { architecture, vendorClass, uuid } = one.stranger;
    words.stranger = {
      ...(architecture !== '' && { architecture: cleanLine(architecture, 64) }),
      ...(vendorClass !== '' && { vendorClass: cleanLine(vendorClass, 64) }),
      ...(uuid !== '' && { uuid: cleanLine(uuid, 64) }),
    };
  }
  return {
    kind: one.kind as SeenKind,
    relay,
    ...(mac !== undefined && { mac }),
    ...(machine !== undefined && { machine }),
    ...(at > now - oldestMs && at < now && { at }),
    ...words,
  };
}

/** Undefined: it can't be. */
export function readFileServed(served: FileServed): FileProgress | undefined {
  const [sentBytes, totalBytes] = [Number(served.sentBytes), Number(served.totalBytes)];
  const mac = readMac(served.mac);
  if (!/^[0-9a-f]{64}\/[a-z]{1,16}$/.test(served.file) || sentBytes > totalBytes) return undefined;
  if (!Number.isSafeInteger(totalBytes)) return undefined;
  const { file, ended } = served;
  const remoteAddress = cleanLine(served.address, 15);
  return { remoteAddress, file, sentBytes, totalBytes, ended, ...(mac !== undefined && { mac }) };
}

function readMac(text: string): Mac | undefined {
  return text === '' ? undefined : parseMac(text);
}
