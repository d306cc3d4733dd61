// The order in which parts are listed: the same for the same hardware.

/** By code units, whatever the language. */
export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** By bus position, then by name; what has no position comes last. */
export function byPlace(
  a: { readonly pciAddress?: string | undefined; readonly name: string },
  b: { readonly pciAddress?: string | undefined; readonly name: string },
): number {
  return compare(a.pciAddress ?? '~', b.pciAddress ?? '~') || compare(a.name, b.name);
}
