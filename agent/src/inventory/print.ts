// The inventory as JSON for people and programs: snake_case names, absent instead of unknown.
import type { Inventory } from '@nixie/proto/inventory';

function plain(value: unknown): unknown {
  // Sizes of disks stay below 2^53 bytes (8 PiB); above, digits matter more than the type.
  if (typeof value === 'bigint') return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value.toString();
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, entry]) => entry !== undefined)
      .map(([name, entry]) => [name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), plain(entry)]),
  );
}

export function printInventory(inventory: Inventory): string {
  return JSON.stringify(plain(inventory), null, 2);
}
