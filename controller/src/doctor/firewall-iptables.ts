// What iptables-save prints (iptables-save(8)) → chains. Never throws: what isn't understood becomes an unknown condition.
import type { Chain, Chains, Condition, Field, Rule, Verdict } from './firewall.ts';

/** Undefined when the text has no filter table. */
export function readIptables(text: string): Chains | undefined {
  const chains = new Map<string, { rules: Rule[]; policy?: 'accept' | 'drop' }>();
  let table = '';
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) table = line.slice(1).trim();
    if (table !== 'filter') continue;
    const declared = /^:(\S+) (\S+)/.exec(line);
    if (declared !== null) {
      const [, name = '', policy] = declared;
      chains.set(name, { rules: [], ...(name === 'INPUT' ? { policy: policy === 'DROP' ? 'drop' : 'accept' } : {}) });
    }
    const added = /^-A (\S+) ?(.*)$/.exec(line);
    if (added === null) continue;
    const rule = readRule(added[2] ?? '');
    if (rule !== undefined) chains.get(added[1]!)?.rules.push(rule);
  }
  return chains.has('INPUT') ? (chains satisfies ReadonlyMap<string, Chain>) : undefined;
}

const fields: Readonly<Record<string, Field>> = {
  '-i': 'interface',
  '-p': 'protocol',
  '-s': 'from',
  '-d': 'to',
  '--dport': 'port',
  '--dports': 'port',
  '--sport': 'fromPort',
  '--sports': 'fromPort',
  '--state': 'state',
  '--ctstate': 'state',
};
/** Modules whose words are all in the table above. */
const plainModules = ['udp', 'tcp', 'state', 'conntrack', 'multiport', 'comment'];
/** They let the packet go on. */
const passingTargets = ['LOG', 'NFLOG', 'MARK', 'CONNMARK', 'TRACE', 'NOTRACK', 'CT'];

/** Undefined for a rule that decides nothing. */
function readRule(words: string): Rule | undefined {
  const conditions: Condition[] = [];
  let verdict: Verdict | undefined;
  let not = false;
  const list = words.match(/"(?:\\.|[^"\\])*"|\S+/g) ?? [];
  for (let at = 0; at < list.length; at++) {
    const word = list[at]!;
    if (word === '!') {
      not = true;
      continue;
    }
    const value = list[at + 1] ?? '';
    const field = fields[word];
    if (word === '-j' || word === '-g') {
      verdict = readTarget(word, value);
      break; // what follows belongs to the target
    }
    if (field !== undefined)
      conditions.push({ field, not, values: value.toLowerCase().split(',').map(plain(field, value)) });
    else if (word === '-m' && plainModules.includes(value)) {
      // Its words follow.
    } else if (word !== '--comment') conditions.push({ field: 'unknown', values: [] });
    if (value !== '!' && !value.startsWith('-')) at++;
    not = false;
  }
  return verdict === undefined ? undefined : { conditions, verdict };
}

/** Names of interfaces keep their case. */
function plain(field: Field, value: string): (part: string) => string {
  return field === 'interface' ? () => value : (part) => part;
}

function readTarget(word: string, name: string): Verdict | undefined {
  if (name === 'ACCEPT') return { kind: 'accept' };
  if (name === 'DROP' || name === 'REJECT') return { kind: 'drop' };
  if (name === 'RETURN') return { kind: 'return' };
  if (passingTargets.includes(name)) return undefined;
  return { kind: word === '-g' ? 'goto' : 'jump', chain: name };
}
