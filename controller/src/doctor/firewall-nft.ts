// What `nft --json list ruleset` prints (libnftables-json(5)) → chains. Never throws: what isn't understood becomes an unknown condition.
import type { Chain, Chains, Condition, Field, Rule, Verdict } from './firewall.ts';

type Json = Readonly<Record<string, unknown>>;

const families = ['inet', 'ip'];
const unknown: Condition = { field: 'unknown', values: [] };

/** Undefined when the text is no ruleset. */
export function readNft(text: string): Chains | undefined {
  const items = field(parse(text), 'nftables');
  if (!Array.isArray(items)) return undefined;
  const chains = new Map<string, { rules: Rule[]; policy?: 'accept' | 'drop' }>();
  for (const item of items) {
    const chain = object(field(item, 'chain'));
    if (chain === undefined || !families.includes(String(chain.family))) continue;
    const toUs = chain.hook === 'input' && chain.type === 'filter';
    const policy = chain.policy === 'drop' ? 'drop' : 'accept';
    chains.set(nameOf(chain, chain.name), { rules: [], ...(toUs ? { policy } : {}) });
  }
  for (const item of items) {
    const rule = object(field(item, 'rule'));
    if (rule === undefined || !Array.isArray(rule.expr)) continue;
    chains.get(nameOf(rule, rule.chain))?.rules.push(...readRule(rule, rule.expr));
  }
  return chains satisfies ReadonlyMap<string, Chain>;
}

function nameOf({ family, table }: Json, chain: unknown): string {
  return `${String(family)} ${String(table)} ${String(chain)}`;
}

/** One rule of theirs is several of ours where it has a map of verdicts. */
function readRule(rule: Json, expressions: readonly unknown[]): Rule[] {
  const conditions: Condition[] = [];
  for (const expression of expressions) {
    const [kind, value] = Object.entries(object(expression) ?? { broken: null })[0] ?? ['broken', null];
    if (kind === 'match') conditions.push(readMatch(object(value) ?? {}));
    else if (kind === 'vmap') return readMap(rule, object(value) ?? {}, conditions);
    else if (!passing.includes(kind)) {
      const verdict = readVerdict(rule, kind, value);
      if (verdict !== undefined) return [{ conditions, verdict }];
      conditions.push(unknown);
    }
  }
  return [];
}

/** They look at nothing. */
const passing = ['counter', 'log', 'comment', 'mangle', 'notrack', 'ct helper', 'ct count', 'meter'];

function readVerdict(rule: Json, kind: string, value: unknown): Verdict | undefined {
  if (kind === 'accept' || kind === 'return') return { kind };
  if (kind === 'drop' || kind === 'reject') return { kind: 'drop' };
  if (kind !== 'jump' && kind !== 'goto') return undefined;
  return { kind, chain: nameOf(rule, object(value)?.target) };
}

function readMap(rule: Json, { key, data }: Json, before: readonly Condition[]): Rule[] {
  const of = fieldOf(key);
  const pairs = field(data, 'set');
  const anything: Rule[] = (['accept', 'drop'] as const).map((kind) => ({
    conditions: [...before, unknown],
    verdict: { kind },
  }));
  if (of === 'unknown' || !Array.isArray(pairs)) return anything;
  return pairs.flatMap((pair) => {
    if (!Array.isArray(pair)) return anything;
    const values = readValues(pair[0]);
    const [kind, value] = Object.entries(object(pair[1]) ?? { broken: null })[0] ?? ['broken', null];
    const verdict = readVerdict(rule, kind, value);
    if (verdict === undefined || values === undefined) return anything;
    return [{ conditions: [...before, { field: of, values }], verdict }];
  });
}

function readMatch({ op, left, right }: Json): Condition {
  const of = fieldOf(left);
  const values = readValues(right);
  if (of === 'unknown' || values === undefined || !['==', '!=', 'in'].includes(String(op))) return unknown;
  return { field: of, values, ...(op === '!=' ? { not: true } : {}) };
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

/** Undefined for what stands for values that aren't here, such as a named set. */
function readValues(right: unknown): string[] | undefined {
  if (typeof right === 'number' || typeof right === 'string') {
    const text = String(right);
    return text.startsWith('@') ? undefined : [text];
  }
  const list = Array.isArray(right) ? right : field(right, 'set');
  if (Array.isArray(list)) {
    const values = list.map(readValues);
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
