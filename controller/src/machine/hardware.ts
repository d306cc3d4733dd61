// How the hardware of a machine differs from what was recorded of it, in words. Pure. What changes without anybody opening the machine doesn't
// count: names, addresses, carrier, contents, firmware versions, free memory. What one of the two doesn't know is no difference.
import type { Disk, Inventory, MemoryModule, Nic } from '@nixie/proto/inventory';

/** One sentence for each difference; none: it is the same machine with the same parts. */
export function hardwareDifferences(recorded: Inventory, now: Inventory): string[] {
  return [
    ...values('system', recorded.system, now.system, {
      vendor: 'vendor',
      product: 'product',
      serial: 'serial number',
      uuid: 'UUID',
      boardSerial: "board's serial number",
    }),
    ...values('processor', recorded.cpu, now.cpu, {
      model: 'model',
      sockets: 'sockets',
      cores: 'cores',
      threads: 'threads',
    }),
    ...memory(recorded, now),
    ...disks(recorded.disks, now.disks),
    ...parts('network card', recorded.nics, now.nics, nicKey, nicWords),
  ];
}

function values<T extends object>(
  what: string,
  recorded: T | undefined,
  now: T | undefined,
  fields: Partial<Record<keyof T, string>>,
): string[] {
  return (Object.entries(fields) as [keyof T, string][]).flatMap(([field, name]) => {
    const [was, is] = [recorded?.[field], now?.[field]];
    if (was === undefined || is === undefined || String(was).trim() === String(is).trim()) return [];
    return [`${what}: its ${name} was ${String(was).trim()} and is ${String(is).trim()}`];
  });
}

/**
 * By what identifies a part: those that are gone, those that are new. Equal parts are counted.
 * @param alike for parts with other keys, because one of the two inventories knows more: the same part. Of several that could be it none is
 */
function parts<T>(
  what: string,
  recorded: readonly T[],
  now: readonly T[],
  key: (part: T) => string,
  words: (part: T) => string,
  alike: (was: T, is: T) => boolean = () => false,
): string[] {
  const missing = (from: readonly T[], others: readonly T[]): T[] => {
    const left = new Map<string, number>();
    for (const part of others) left.set(key(part), (left.get(key(part)) ?? 0) + 1);
    // In an order of their own: which of two with one key is left over must not depend on that of the list.
    const ordered = from.map((part) => ({ part, text: inFull(part) })).sort((a, b) => (a.text < b.text ? -1 : 1));
    const gone = new Set<T>();
    for (const { part } of ordered) {
      const count = left.get(key(part)) ?? 0;
      left.set(key(part), count - 1);
      if (count <= 0) gone.add(part);
    }
    return from.filter((part) => gone.has(part));
  };
  const [gone, added] = [missing(recorded, now), missing(now, recorded)];
  const twins = new Map<T, T[]>();
  // So many of each are another machine.
  if (gone.length * added.length < 65_536)
    for (const was of gone)
      for (const is of added)
        if (alike(was, is)) {
          twins.set(was, [...(twins.get(was) ?? []), is]);
          twins.set(is, [...(twins.get(is) ?? []), was]);
        }
  const found = (part: T): boolean => {
    const [twin, ...others] = twins.get(part) ?? [];
    return twin !== undefined && others.length === 0 && twins.get(twin)?.length === 1;
  };
  return [
    ...gone.filter((part) => !found(part)).map((part) => `${what} ${words(part)} is gone`),
    ...added.filter((part) => !found(part)).map((part) => `${what} ${words(part)} is new`),
  ];
}

function inFull(part: unknown): string {
  return JSON.stringify(part, (_, value: unknown) => (typeof value === 'bigint' ? `${value}` : value));
}

function disks(recorded: readonly Disk[], now: readonly Disk[]): string[] {
  // Media come and go.
  const fixed = (all: readonly Disk[]) => all.filter((disk) => disk.removable !== true);
  return parts('disk', fixed(recorded), fixed(now), diskKey, diskWords, sameDisk);
}

/** By a number that both know; one that says none of itself may be any disk of that size. */
function sameDisk(a: Disk, b: Disk): boolean {
  const plain = ({ serial, wwn }: Disk) => [serial?.trim().toLowerCase(), wwn?.trim().toLowerCase()];
  const known = plain(a).flatMap((was, i) => {
    const is = plain(b)[i];
    return was && is ? [was === is] : [];
  });
  return a.sizeBytes === b.sizeBytes && known.length > 0 && known.every((same) => same);
}

/** Without a number of its own a disk is told by its place and size. */
function diskKey(disk: Disk): string {
  const id = disk.serial || disk.wwn || disk.byPath || disk.pciAddress || disk.name;
  return `${id.trim().toLowerCase()} ${disk.sizeBytes}`;
}

function diskWords(disk: Disk): string {
  const about = [`${bytes(disk.sizeBytes)}`, disk.model, disk.serial ?? disk.wwn ?? disk.byPath];
  return `${disk.path} (${about.filter((word) => word).join(', ')})`;
}

function nicKey(nic: Nic): string {
  return (nic.permanentMac ?? nic.mac ?? nic.pciAddress ?? nic.name).toLowerCase();
}

function nicWords(nic: Nic): string {
  const about = [nic.permanentMac ?? nic.mac, nic.driver];
  return `${nic.name} (${about.filter((word) => word).join(', ')})`;
}

function memory(recorded: Inventory, now: Inventory): string[] {
  const [was, is] = [recorded.memory, now.memory];
  const fitted = (all: readonly MemoryModule[] | undefined) =>
    (all ?? []).filter((each) => each.fitted !== false && each.sizeBytes !== undefined);
  const [before, after] = [fitted(was?.modules), fitted(is?.modules)];
  if (before.length > 0 && after.length > 0)
    return parts('memory module', before, after, moduleKey, moduleWords, sameModule);
  if (was?.physicalBytes !== undefined && is?.physicalBytes !== undefined)
    return was.physicalBytes === is.physicalBytes ? [] : [memoryWords(was.physicalBytes, is.physicalBytes)];
  // What is usable differs a little between kernels.
  const [a, b] = [was?.usableBytes, is?.usableBytes];
  if (a === undefined || b === undefined) return [];
  const [less, more] = a < b ? [a, b] : [b, a];
  return (more - less) * 16n > more ? [memoryWords(a, b)] : [];
}

function memoryWords(was: bigint, is: bigint): string {
  return `memory: it had ${bytes(was, 1024)} and has ${bytes(is, 1024)}`;
}

function moduleKey(each: MemoryModule): string {
  return [each.locator, each.bank, each.sizeBytes, each.serial].map((part) => String(part ?? '').trim()).join(' ');
}

function sameModule(a: MemoryModule, b: MemoryModule): boolean {
  const place = (each: MemoryModule) => moduleKey({ ...each, serial: undefined });
  return place(a) === place(b) && (!a.serial?.trim() || !b.serial?.trim());
}

function moduleWords(each: MemoryModule): string {
  const place = [each.bank, each.locator].filter((word) => word).join(' ');
  const about = [bytes(each.sizeBytes ?? 0n, 1024), each.partNumber, each.serial].filter((word) => word).join(', ');
  return `${place === '' ? '' : `${place} `}(${about})`;
}

function bytes(count: bigint, base: 1000 | 1024 = 1000): string {
  const units = base === 1000 ? ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] : ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let [value, unit] = [Number(count), 0];
  for (; value >= base && unit < units.length - 1; unit++) value /= base;
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1).replace(/\.0$/, '')} ${units[unit]}`;
}
