// The hosts file: bytes → hosts, or everything that is wrong with it at once.
import type { DiskHints, ExpectDisk, Host } from '../machine/host.ts';
import { type Mac, parseMac } from '../machine/mac.ts';
import { type Subnet, subnetKey } from '../machine/subnet.ts';
import { diskKeys, fileSchema, type HostEntry, hintKeys, hostKeys, nameAccepted, namePattern } from './hosts-schema.ts';
import { type Path, placesOf } from './json-places.ts';
import { JsonError, type JsonNode, jsonPath, parseJson, positionOf, toValue } from './json-tree.ts';
import { nearest, type Problem, show } from './problem.ts';
import { kindOf, secretKeysAt, toSecrets } from './secrets-schema.ts';
import { parseSize } from './sizes.ts';
import { addressElsewhere, readSubnets, subnetNamed, subnetsName } from './subnets.ts';
import { subnetKeys } from './subnets-schema.ts';

export type HostsResult =
  | { readonly ok: true; readonly hosts: readonly Host[]; readonly subnets: readonly Subnet[] }
  | { readonly ok: false; readonly problems: readonly Problem[] };

/** 20,000 hosts with all fields fit; what is larger is another file. */
const largestBytes = 16 * 2 ** 20;
const nameForm = new RegExp(namePattern);
/** Keys of the file that are no machines. */
const ownKeys: readonly string[] = ['$schema', subnetsName];

/**
 * Reads a hosts file. Never throws; the hosts come in the order of the file.
 * @param file how problems call the file
 */
export function parseHosts(bytes: Uint8Array, file: string): HostsResult {
  const whole = (text: string, at?: { source: string; offset: number }): HostsResult => ({
    ok: false,
    problems: [{ file, where: '$', text, ...(at && { position: positionOf(at.source, at.offset) }) }],
  });
  if (bytes.length > largestBytes)
    return whole(`found ${bytes.length} bytes, accepted: a hosts file of at most ${largestBytes} bytes`);
  const source = decodeUtf8(bytes);
  if (typeof source !== 'string') {
    const utf16 = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
    const found = utf16
      ? 'UTF-16'
      : `the byte 0x${bytes[source.offset]?.toString(16).padStart(2, '0')}, which is no UTF-8`;
    return whole(`found ${found}; accepted: JSON in UTF-8`, { source: source.before, offset: source.before.length });
  }
  if (source.trim() === '')
    return whole('found an empty file, accepted: an object like {"machine1": {"mac_address": "aa:bb:cc:dd:ee:ff"}}');
  let root: JsonNode;
  try {
    root = parseJson(source);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    return whole(`not JSON: ${error.rule}`, { source, offset: error.at });
  }

  const problems: { offset: number; problem: Problem }[] = [];
  const places = placesOf(root, source);
  const complain = (path: Path, text: string, offset = places.node(path).at) =>
    problems.push({ offset, problem: { file, position: places.position(offset), where: jsonPath(path), text } });
  const line = (offset: number): string => `line ${places.position(offset).line}`;
  const lineOf = (path: Path): string => line(places.node(path).at);

  findDoubledKeys(root, [], line, complain);
  if (root.kind === 'object') {
    for (const { key, keyAt } of root.members)
      if (!ownKeys.includes(key) && !nameForm.test(key))
        complain([key], `found the name ${show(key)}, accepted: ${nameAccepted}`, keyAt);
    if (root.members.every((member) => ownKeys.includes(member.key)))
      complain(
        [],
        'found no machine, accepted: at least one entry like "machine1": {"mac_address": "aa:bb:cc:dd:ee:ff"}',
      );
  }
  const value = toValue(root);
  const checked = fileSchema.safeParse(value);
  const issues = checked.error?.issues ?? [];
  const misspelt = new Set(issues.filter(({ code }) => code === 'unrecognized_keys').map(({ path }) => String(path)));
  for (const issue of issues) {
    const path = issue.path as Path;
    // What is missing is most likely there under the misspelt key.
    if (issue.code === 'custom' && misspelt.has(String(path))) continue;
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) {
        const known =
          path[0] === subnetsName
            ? subnetKeys
            : path[1] === 'expect_disks'
              ? diskKeys
              : path[1] === 'disk'
                ? hintKeys
                : (secretKeysAt(path.slice(1)) ?? hostKeys);
        const guess = nearest(key, known);
        const hint = guess === undefined ? `accepted: ${known.join(', ')}` : `did you mean ${show(guess)}?`;
        complain([...path, key], `unknown key; ${hint}`, places.keyOffset([...path, key]));
      }
    } else if (issue.code === 'invalid_key')
      complain(
        path,
        `found ${show(path.at(-1))}, ${issue.issues[0]?.message ?? issue.message}`,
        places.keyOffset(path),
      );
    // A value in place of its source is a mistake that must not be printed as well.
    else if (path[1] === 'secrets' && path.at(-1) !== 'mode' && path.at(-1) !== 'owner')
      complain(path, `found ${kindOf(valueAt(value, path))}, ${issue.message}`);
    else complain(path, `found ${show(valueAt(value, path))}, ${issue.message}`);
  }

  const hosts: Host[] = [];
  let subnets: readonly Subnet[] = [];
  if (root.kind === 'object') {
    const entries = value as Record<string, unknown>;
    subnets = readSubnets(entries[subnetsName], complain, lineOf);
    const macs = new Map<string, { name: string; path: Path }>();
    const addresses = new Map<string, { name: string; path: Path }>();
    // By the tree: an object puts names that are numbers first.
    for (const name of new Set(root.members.map((member) => member.key))) {
      if (ownKeys.includes(name)) continue;
      const entry = entries[name];
      const subnet = subnetOf(name, entry, subnets, complain);
      const relay = relayOf(name, entry, subnet, complain);
      // Two sites may have the same private addresses, and even the same MAC.
      const there = (word: string) => (relay === undefined ? word : `${relay} ${word}`);
      for (const { path, mac } of macsOf(name, entry)) {
        const before = macs.get(there(mac));
        if (before === undefined) macs.set(there(mac), { name, path });
        else if (before.name !== name)
          complain(
            path,
            `${mac} is already that of ${show(before.name)} (${lineOf(before.path)}); a card is in one machine`,
          );
      }
      const address = (entry as { address?: unknown } | null)?.address;
      if (typeof address === 'string') {
        const before = addresses.get(there(address));
        if (before === undefined) addresses.set(there(address), { name, path: [name, 'address'] });
        else
          complain(
            [name, 'address'],
            `${show(address)} is already that of ${show(before.name)} (${lineOf(before.path)})`,
          );
      }
      if (checked.success) hosts.push(toHost(name, entry as HostEntry, subnet, relay));
    }
  }
  if (problems.length === 0) return { ok: true, hosts, subnets };
  return { ok: false, problems: problems.sort((a, b) => a.offset - b.offset).map(({ problem }) => problem) };
}

function findDoubledKeys(
  node: JsonNode,
  path: Path,
  line: (offset: number) => string,
  complain: (path: Path, text: string, offset: number) => void,
): void {
  if (node.kind === 'array')
    node.items.forEach((item, index) => void findDoubledKeys(item, [...path, index], line, complain));
  if (node.kind !== 'object') return;
  const seen = new Map<string, number>();
  for (const { key, keyAt, value } of node.members) {
    const first = seen.get(key);
    if (first === undefined) seen.set(key, keyAt);
    else complain([...path, key], `the key stands here a second time; the first is on ${line(first)}`, keyAt);
    findDoubledKeys(value, [...path, key], line, complain);
  }
}

/** The text, or how far it could be read. A byte order mark at the start is dropped. */
function decodeUtf8(bytes: Uint8Array): string | { before: string; offset: number } {
  const decode = (part: Uint8Array) => new TextDecoder('utf-8', { fatal: true }).decode(part);
  try {
    return decode(bytes);
  } catch {
    // The longest beginning that decodes ends before the first bad byte: halve, on whole characters only.
    let [good, bad] = [0, bytes.length];
    while (bad - good > 1) {
      const middle = Math.floor((good + bad) / 2);
      const stream = new TextDecoder('utf-8', { fatal: true });
      try {
        stream.decode(bytes.subarray(0, middle), { stream: true });
        good = middle;
      } catch {
        bad = middle;
      }
    }
    const before = new TextDecoder('utf-8').decode(bytes.subarray(0, good), { stream: true });
    const mark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
    return { before, offset: mark + new TextEncoder().encode(before).length };
  }
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (inner, step) =>
      typeof inner === 'object' && inner !== null && Object.hasOwn(inner, step)
        ? (inner as Record<string | number, unknown>)[step]
        : undefined,
    value,
  );
}

/** The MACs of an entry that may be wrong elsewhere, and where each stands. */
function macsOf(name: string, entry: unknown): { path: Path; mac: Mac }[] {
  if (typeof entry !== 'object' || entry === null) return [];
  const { mac_address: one, mac_addresses: many } = entry as Record<string, unknown>;
  const places: { path: Path; word: unknown }[] = [{ path: [name, 'mac_address'], word: one }];
  if (Array.isArray(many))
    many.forEach((word, index) => void places.push({ path: [name, 'mac_addresses', index], word }));
  return places.flatMap(({ path, word }) => {
    const mac = typeof word === 'string' ? parseMac(word) : undefined;
    return mac === undefined ? [] : [{ path, mac }];
  });
}

/** The subnet that an entry names; it may be wrong elsewhere. */
function subnetOf(
  name: string,
  entry: unknown,
  subnets: readonly Subnet[],
  complain: (path: Path, text: string) => void,
): Subnet | undefined {
  const { subnet: word, address } = (entry ?? {}) as { subnet?: unknown; address?: unknown };
  if (typeof word !== 'string') return undefined;
  const subnet = subnetNamed(word, subnets, (text) => complain([name, 'subnet'], text));
  const elsewhere = subnet && typeof address === 'string' ? addressElsewhere(address, subnet) : undefined;
  if (elsewhere !== undefined) complain([name, 'address'], elsewhere);
  return subnet;
}

/** The relay that an entry names, itself or by its subnet; it may be wrong elsewhere. */
function relayOf(
  name: string,
  entry: unknown,
  subnet: Subnet | undefined,
  complain: (path: Path, text: string) => void,
): string | undefined {
  const { relay } = (entry ?? {}) as { relay?: unknown };
  if (typeof relay !== 'string') return subnet?.relay;
  if (subnet !== undefined && subnet.relay !== relay)
    complain(
      [name, 'relay'],
      `found ${show(relay)}, and ${subnet.cidr}, its subnet, ${subnet.relay === undefined ? 'is behind none' : `is behind ${show(subnet.relay)}`}; accepted: the relay of its subnet`,
    );
  return relay;
}

function toHost(name: string, entry: HostEntry, subnet: Subnet | undefined, relay: string | undefined): Host {
  const words = [...(entry.mac_address === undefined ? [] : [entry.mac_address]), ...(entry.mac_addresses ?? [])];
  return {
    name,
    flakeAttr: entry.flake_attr ?? name,
    macs: [...new Set(words.map((word) => parseMac(word)!))],
    system: entry.system ?? 'x86_64-linux',
    tags: entry.tags ?? [],
    boot: entry.boot ?? [],
    ...(entry.address !== undefined && { address: entry.address }),
    ...(subnet !== undefined && { subnet: subnetKey(subnet) }),
    ...(relay !== undefined && { relay }),
    expectDisks: (entry.expect_disks ?? []).map(toDisk),
    ...(entry.disk !== undefined && { disk: toHints(entry.disk) }),
    ...(entry.inventory !== undefined && { inventory: entry.inventory }),
    wipe: entry.wipe ?? false,
    ...(entry.allow_removable === true && { allowRemovable: true }),
    ...(entry.secrets !== undefined && { secrets: toSecrets(entry.secrets) }),
  };
}

const bytes = (size: string | number) => (typeof size === 'string' ? parseSize(size)! : size);

function toHints(entry: NonNullable<HostEntry['disk']>): DiskHints {
  return {
    ...(entry.min_size !== undefined && { minSizeBytes: bytes(entry.min_size) }),
    ...(entry.max_size !== undefined && { maxSizeBytes: bytes(entry.max_size) }),
    ...(entry.rotational !== undefined && { rotational: entry.rotational }),
    ...(entry.model !== undefined && { model: entry.model }),
    ...(entry.serial !== undefined && { serial: entry.serial }),
    ...(entry.wwn !== undefined && { wwn: entry.wwn }),
    ...(entry.by_path !== undefined && { byPath: entry.by_path }),
  };
}

function toDisk(entry: NonNullable<HostEntry['expect_disks']>[number]): ExpectDisk {
  return {
    ...(entry.serial !== undefined && { serial: entry.serial }),
    ...(entry.wwn !== undefined && { wwn: entry.wwn }),
    ...(entry.min_size !== undefined && { minSizeBytes: bytes(entry.min_size) }),
    ...(entry.max_size !== undefined && { maxSizeBytes: bytes(entry.max_size) }),
    ...(entry.rotational !== undefined && { rotational: entry.rotational }),
    ...(entry.count !== undefined && { count: entry.count }),
  };
}
