// What `nft --json list ruleset` prints (libnftables-json(5)) → chains. Never throws: what isn't understood becomes an unknown condition.
import type { Chain, Chains, Condition, Field, Rule, Verdict } from './firewall.ts';

type Json = Readonly<Record<string, unknown>>;

const families = ['inet', 'ip'];
const unknown: Condition = { field: 'unknown', values: [] };

/**
 * Undefined when the text is no ruleset.
 * @param except tables that are read better elsewhere, as `ip filter`
 */
export function readNft(text: string, except: readonly string[] = []): Chains | undefined {
  const items = field(parse(text), 'nftables');
  if (!Array.isArray(items)) return undefined;
  const chains = new Map<string, { rules: Rule[]; policy?: 'accept' | 'drop' }>();
  for (const item of items) {
    const chain = object(field(item, 'chain'));
    if (chain === undefined || !families.includes(String(chain.family))) continue;
    if (except.includes(tableOf(chain))) continue;
    const toUs = chain.hook === 'input' && chain.type === 'filter';
    const policy = chain.policy === 'drop' ? 'drop' : 'accept';
    chains.set(nameOf(chain, chain.name), { rules: [], ...(toUs ? { policy } : {}) });
  }
  const sets = new Map<string, string[]>();
  for (const item of items) {
    const set = object(field(item, 'set'));
    // Elements come and go with time-outs and from packets: those are not what it is made of.
    const values = set === undefined || set.flags !== undefined ? undefined : readValues(set.elem ?? [], noSets);
    if (set !== undefined && values !== undefined) sets.set(`${tableOf(set)} @${String(set.name)}`, values);
  }
  for (const item of items) {
    const rule = object(field(item, 'rule'));
    if (rule === undefined || !Array.isArray(rule.expr)) continue;
    const named: Sets = (name) => sets.get(`${tableOf(rule)} ${name}`);
    chains.get(nameOf(rule, rule.chain))?.rules.push(...readRule(rule, rule.expr, named));
  }
  return chains satisfies ReadonlyMap<string, Chain>;
}

/** Values of a named set of the same table. */
type Sets = (name: string) => string[] | undefined;
const noSets: Sets = () => undefined;

function tableOf({ family, table }: Json): string {
  return `${String(family)} ${String(table)}`;
}

function nameOf(item: Json, chain: unknown): string {
  return `${tableOf(item)} ${String(chain)}`;
}

/** One rule of theirs is several of ours where it has a map of verdicts. */
function readRule(rule: Json, expressions: readonly unknown[], sets: Sets): Rule[] {
  const conditions: Condition[] = [];
  for (const expression of expressions) {
    const [kind, value] = Object.entries(object(expression) ?? { broken: null })[0] ?? ['broken', null];
    if (kind === 'match') conditions.push(...readMatch(object(value) ?? {}, sets));
    else if (kind === 'vmap') return readMap(rule, object(value) ?? {}, conditions, sets);
    else if (!passing.includes(kind) && !(kind === 'xt' && passingXt.includes(String(field(value, 'name'))))) {
      const verdict = readVerdict(rule, kind, value);
      if (verdict !== undefined) return [{ conditions, verdict }];
      conditions.push(unknown);
    }
  }
  return [];
}

/** They look at nothing. */
const passing = ['counter', 'log', 'comment', 'mangle', 'notrack', 'ct helper', 'ct count', 'meter'];

/** Of iptables: they look at nothing either. */
const passingXt = ['comment', 'LOG', 'NFLOG', 'MARK', 'CONNMARK', 'TRACE'];

function readVerdict(rule: Json, kind: string, value: unknown): Verdict | undefined {
  if (kind === 'accept' || kind === 'return') return { kind };
  if (kind === 'drop' || kind === 'reject') return { kind: 'drop' };
  if (kind !== 'jump' && kind !== 'goto') return undefined;
  return { kind, chain: nameOf(rule, object(value)?.target) };
}

function readMap(rule: Json, { key, data }: Json, before: readonly Condition[], sets: Sets): Rule[] {
  const of = fieldOf(key);
  const implied = impliedBy(key);
  const pairs = field(data, 'set');
  const anything: Rule[] = (['accept', 'drop'] as const).map((kind) => ({
    conditions: [...before, unknown],
    verdict: { kind },
  }));
  if (of === 'unknown' || !Array.isArray(pairs)) return anything;
  return pairs.flatMap((pair) => {
    if (!Array.isArray(pair)) return anything;
    const values = readValues(pair[0], sets);
    const [kind, value] = Object.entries(object(pair[1]) ?? { broken: null })[0] ?? ['broken', null];
    const verdict = readVerdict(rule, kind, value);
    if (verdict === undefined || values === undefined) return anything;
    return [{ conditions: [...before, ...implied, { field: of, values }], verdict }];
  });
}

function readMatch({ op, left, right }: Json, sets: Sets): Condition[] {
  const of = fieldOf(left);
  const values = readValues(right, sets);
  const implied = impliedBy(left);
  if (of === 'unknown' || values === undefined || !['==', '!=', 'in'].includes(String(op)))
    return [...implied, unknown];
  return [...implied, { field: of, values, ...(op === '!=' ? { not: true } : {}) }];
}

/** A port of TCP is one of TCP packets only. */
function impliedBy(left: unknown): Condition[] {
  const protocol = field(field(left, 'payload'), 'protocol');
  return protocol === 'udp' || protocol === 'tcp' ? [{ field: 'protocol', values: [protocol] }] : [];
}

const metaFields: Readonly<Record<string, Field>> = {
  iifname: 'interface',
  iif: 'interface',
  l4proto: 'protocol',
  nfproto: 'family',
  protocol: 'family',
};
const payloadFields: Readonly<Record<string, Field>> = {
  'udp dport': 'port',
  'tcp dport': 'port',
  'th dport': 'port',
  'udp sport': 'fromPort',
  'tcp sport': 'fromPort',
  'th sport': 'fromPort',
  'ip saddr': 'from',
  'ip daddr': 'to',
  'ip protocol': 'protocol',
};

function fieldOf(left: unknown): Field {
  const meta = field(field(left, 'meta'), 'key');
  if (typeof meta === 'string') return metaFields[meta] ?? 'unknown';
  const payload = object(field(left, 'payload'));
  if (payload !== undefined) return payloadFields[`${String(payload.protocol)} ${String(payload.field)}`] ?? 'unknown';
  return field(field(left, 'ct'), 'key') === 'state' ? 'state' : 'unknown';
}

/** Undefined for what stands for values that aren't here. */
function readValues(right: unknown, sets: Sets): string[] | undefined {
  if (typeof right === 'number' || typeof right === 'string') {
    const text = String(right);
    return text.startsWith('@') ? sets(text) : [text];
  }
  const list = Array.isArray(right) ? right : field(right, 'set');
  if (Array.isArray(list)) {
    const values = list.map((each) => readValues(each, sets));
    return values.some((each) => each === undefined) ? undefined : values.flatMap((each) => each ?? []);
  }
  const range = field(right, 'range');
  if (Array.isArray(range) && range.length === 2 && range.every((each) => typeof each === 'number'))
    return [`${range[0]}-${range[1]}`];
  const prefix = object(field(right, 'prefix'));
  return prefix === undefined ? undefined : [`${String(prefix.addr)}/${String(prefix.len)}`];
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function object(value: unknown): Json | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
}

function field(value: unknown, name: string): unknown {
  const found = object(value);
  return found !== undefined && Object.hasOwn(found, name) ? found[name] : undefined;
}
