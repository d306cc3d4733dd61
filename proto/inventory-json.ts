// The inventory as JSON for people and programs, described by inventory.schema.json: names as in inventory.proto, unknown is absent, lists are
// there even when empty, integers are integers however large.
import { Inventory } from './gen/nixie/v1/inventory.ts';

// In the language since ES2026, in Node since 22.
const { rawJSON } = JSON as unknown as { rawJSON(digits: string): unknown };

function toJson(value: unknown): unknown {
  // Digits as they are: a reader with 64-bit integers loses nothing.
  if (typeof value === 'bigint') return rawJSON(value.toString());
  if (Array.isArray(value)) return value.map(toJson);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, entry]) => entry !== undefined)
      .map(([name, entry]) => [name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), toJson(entry)]),
  );
}

/** @param indent blanks a level; 0 for one line */
export function writeInventoryJson(inventory: Inventory, indent = 2): string {
  return JSON.stringify(toJson(inventory), null, indent);
}

function fromJson(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fromJson);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, entry]) => [
      name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase()),
      fromJson(entry),
    ]),
  );
}

/** What was made a number of something else. */
function checkNumbers(value: unknown, at: string): void {
  if (typeof value === 'number' && !Number.isSafeInteger(value)) throw new TypeError(`${at}: want a whole number`);
  if (typeof value !== 'object' || value === null) return;
  for (const [name, each] of Object.entries(value)) checkNumbers(each, at === '' ? name : `${at}.${name}`);
}

/**
 * Reads what `writeInventoryJson` wrote, today or in another version: fields it doesn't know are left out.
 * @throws SyntaxError when it is no JSON, TypeError when it is no object or holds something else than the schema says
 */
export function readInventoryJson(text: string): Inventory {
  const integers = (_: string, value: unknown, context?: { source?: string }): unknown =>
    typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d{1,20}$/.test(context?.source ?? '')
      ? context!.source
      : value;
  const parsed: unknown = JSON.parse(text, integers as Parameters<typeof JSON.parse>[1]);
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw new TypeError('inventory: found no object');
  try {
    const inventory = Inventory.fromJSON(fromJson(parsed));
    checkNumbers(inventory, '');
    return inventory;
  } catch (error) {
    throw new TypeError(`inventory: ${(error as Error).message}`, { cause: error });
  }
}
