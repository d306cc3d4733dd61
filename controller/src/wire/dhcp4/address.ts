// IPv4 addresses: four octets, a dotted text, or an unsigned 32-bit number.

export const anyAddress = '0.0.0.0';
export const broadcastAddress = '255.255.255.255';

/** `10.77.0.1` from the four octets at `offset`; missing octets count as 0. */
export function readAddress(bytes: Uint8Array, offset = 0): string {
  const [a, b, c, d] = [bytes[offset] ?? 0, bytes[offset + 1] ?? 0, bytes[offset + 2] ?? 0, bytes[offset + 3] ?? 0];
  // Most address fields of most messages are not set.
  return (a | b | c | d) === 0 ? anyAddress : `${a}.${b}.${c}.${d}`;
}

/** As an unsigned number; undefined unless it is four decimal numbers of 0 to 255 without leading zeros. */
function parseNumber(text: string): number | undefined {
  if (text === anyAddress) return 0;
  let number = 0;
  let dots = 0;
  let digits = 0;
  let value = 0;
  // By hand: each answer says four or more of them.
  for (let at = 0; at < text.length; at++) {
    const digit = text.charCodeAt(at) - 48;
    if (digit === -2) {
      if (digits === 0 || dots === 3) return undefined;
      number = (number << 8) | value;
      dots += 1;
      digits = value = 0;
    } else {
      if (digit < 0 || digit > 9 || (digits > 0 && value === 0)) return undefined;
      value = value * 10 + digit;
      digits += 1;
      if (value > 255) return undefined;
    }
  }
  return dots === 3 && digits > 0 ? ((number << 8) | value) >>> 0 : undefined;
}

/** Four octets of a dotted address; undefined unless it is four decimal numbers of 0 to 255 without leading zeros. */
export function parseAddress(text: string): Uint8Array | undefined {
  const number = parseNumber(text);
  if (number === undefined) return undefined;
  const bytes = new Uint8Array(4);
  writeNumber(number, bytes, 0);
  return bytes;
}

function writeNumber(number: number, into: Uint8Array, at: number): void {
  into[at] = number >>> 24;
  into[at + 1] = number >>> 16;
  into[at + 2] = number >>> 8;
  into[at + 3] = number;
}

/** Puts the four octets at `at`. Throws as addressBytes does. */
export function writeAddress(text: string, into: Uint8Array, at: number): void {
  writeNumber(addressNumber(text), into, at);
}

/** Four octets. Throws a TypeError for what is no address: for addresses that were checked before. */
export function addressBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(4);
  writeAddress(text, bytes, 0);
  return bytes;
}

/** The address as an unsigned number, for masks and ranges. Throws as addressBytes does. */
export function addressNumber(text: string): number {
  const number = parseNumber(text);
  if (number === undefined) throw new TypeError(`not an IPv4 address: ${JSON.stringify(text)}`);
  return number;
}

/** The reverse of addressNumber. */
export function addressText(value: number): string {
  return `${(value >>> 24) & 255}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

/** Network mask of a prefix length (0 to 32) as an unsigned number. */
export function maskNumber(prefixLength: number): number {
  return prefixLength === 0 ? 0 : (0xffffffff << (32 - prefixLength)) >>> 0;
}

/** Do both addresses lie in the same network of that prefix length? */
export function sameNetwork(a: string, b: string, prefixLength: number): boolean {
  const mask = maskNumber(prefixLength);
  return (addressNumber(a) & mask) === (addressNumber(b) & mask);
}
