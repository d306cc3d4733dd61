// The Ethernet address of a network card, in one form everywhere: lower case with colons.

declare const brand: unique symbol;
/** `aa:bb:cc:dd:ee:ff`, lower case. */
export type Mac = string & { readonly [brand]: 'Mac' };

const forms = [
  /^([0-9a-f]{2})([:-])([0-9a-f]{2})\2([0-9a-f]{2})\2([0-9a-f]{2})\2([0-9a-f]{2})\2([0-9a-f]{2})$/,
  /^([0-9a-f]{4})([.:-])([0-9a-f]{4})\2([0-9a-f]{4})$/,
  /^([0-9a-f]{6})([:-])([0-9a-f]{6})$/,
  /^[0-9a-f]{12}$/,
];

/**
 * Reads the spellings people use: `aa:bb:cc:dd:ee:ff`, `aa-bb-…`, `aabb.ccdd.eeff`, `aabb:ccdd:eeff`, `aabbcc-ddeeff`, `aabbccddeeff`,
 * in either case. Undefined for anything else, and for the all-zero address and group addresses (lowest bit of the first octet).
 */
export function parseMac(text: string): Mac | undefined {
  const lower = text.trim().toLowerCase();
  if (!forms.some((form) => form.test(lower))) return undefined;
  const digits = lower.replace(/[^0-9a-f]/g, '');
  if (digits === '000000000000' || (Number.parseInt(digits.slice(0, 2), 16) & 1) === 1) return undefined;
  return digits.replace(/(..)(?!$)/g, '$1:') as Mac;
}

const hex: readonly string[] = Array.from({ length: 256 }, (_, octet) => octet.toString(16).padStart(2, '0'));

/** Six octets, as in chaddr. */
export function macFromBytes(bytes: Uint8Array): Mac {
  let text = '';
  for (let at = 0; at < 6 && at < bytes.length; at++) text += at === 0 ? hex[bytes[at]!]! : `:${hex[bytes[at]!]!}`;
  return text as Mac;
}

export function macToBytes(mac: Mac): Uint8Array {
  return Uint8Array.from(mac.split(':'), (octet) => Number.parseInt(octet, 16));
}
