// IPv4 addresses as the operator writes them.

/** What `parseIpv4` takes, for JSON Schema. */
export const ipv4Pattern =
  '^((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\\.){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])$';
const form = new RegExp(ipv4Pattern);

/** The address as an unsigned 32-bit number; undefined unless it is four decimal parts without leading zeros. */
export function parseIpv4(text: string): number | undefined {
  if (!form.test(text)) return undefined;
  return text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

/** Can a machine have it? Not 0/8, loopback, multicast or above (RFC 6890). */
export function isHostIpv4(address: number): boolean {
  const first = Math.floor(address / 2 ** 24);
  return first !== 0 && first !== 127 && first < 224;
}
