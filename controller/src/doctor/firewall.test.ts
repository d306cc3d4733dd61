import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { type Chains, type FirewallPacket, fateOf, type Rule } from './firewall.ts';
import { readIptables } from './firewall-iptables.ts';
import { readNft } from './firewall-nft.ts';

const packet = (protocol: 'udp' | 'tcp', port: number, over: Partial<FirewallPacket> = {}): FirewallPacket => ({
  interface: 'eth0',
  protocol,
  port,
  fromPort: 50_000,
  from: '10.0.0.1',
  to: '10.0.0.1',
  ...over,
});
const fates = (chains: Chains | undefined, over: Partial<FirewallPacket> = {}) =>
  (
    [
      ['udp', 67],
      ['udp', 69],
      ['udp', 4011],
      ['tcp', 7480],
      ['tcp', 7481],
    ] as const
  ).map(([protocol, port]) => fateOf(packet(protocol, port, over), chains!));

const open = ['open', 'open', 'open', 'open', 'open'];

test('nftables as it prints itself: chains, sets, maps of verdicts, named interfaces', () => {
  const chains = readNft(readFileSync(new URL('./fixtures/nft.json', import.meta.url), 'utf8'));
  assert.deepEqual(fates(chains), open);
  assert.deepEqual(fates(chains, { interface: 'lo' }), open);
  assert.deepEqual(fates(chains, { interface: 'eth17' }), open);
  // Only what stands behind the jump is left.
  assert.deepEqual(fates(chains, { interface: 'wlan0' }), ['dropped', 'open', 'open', 'dropped', 'dropped']);
  // A port of TCP is none of UDP.
  assert.equal(fateOf(packet('udp', 7480), chains!), 'dropped');
});

test('iptables as it saves itself', () => {
  const text = `*mangle
:INPUT DROP [0:0]
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:nixos-fw - [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -j nixos-fw
-A nixos-fw -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A nixos-fw -i eth0 -p udp -m multiport --dports 67,69 -m comment --comment "boot -j DROP" -j ACCEPT
-A nixos-fw ! -s 10.9.0.0/16 -p tcp -m tcp --dport 7480:7481 -j ACCEPT
-A nixos-fw -p icmp -m icmp --icmp-type 8 -j ACCEPT
-A nixos-fw -j LOG --log-prefix "no: "
COMMIT
`;
  const chains = readIptables(text);
  assert.deepEqual(fates(chains), ['open', 'open', 'dropped', 'open', 'open']);
  assert.deepEqual(fates(chains, { from: '10.9.1.1' }), ['open', 'open', 'dropped', 'dropped', 'dropped']);
  assert.deepEqual(fates(chains, { interface: 'eth1' }), ['dropped', 'dropped', 'dropped', 'open', 'open']);
  assert.equal(readIptables('# nothing here'), undefined);
});

test('what is not understood is never an answer', () => {
  const one = (rules: Rule[], policy: 'accept' | 'drop'): Chains => new Map([['ip filter INPUT', { rules, policy }]]);
  const odd = { field: 'unknown', values: [] } as const;
  const fate = (rules: Rule[], policy: 'accept' | 'drop') => fateOf(packet('udp', 67), one(rules, policy));
  assert.equal(fate([{ conditions: [odd], verdict: { kind: 'accept' } }], 'drop'), 'unknown');
  assert.equal(fate([{ conditions: [odd], verdict: { kind: 'drop' } }], 'accept'), 'unknown');
  assert.equal(fate([{ conditions: [odd], verdict: { kind: 'drop' } }], 'drop'), 'dropped');
  assert.equal(fate([{ conditions: [odd], verdict: { kind: 'accept' } }], 'accept'), 'open');
  assert.equal(fate([{ conditions: [], verdict: { kind: 'jump', chain: 'elsewhere' } }], 'accept'), 'unknown');
  // Known to be no match, whatever the rest is.
  const other = { field: 'port', values: ['68'] } as const;
  assert.equal(fate([{ conditions: [odd, other], verdict: { kind: 'drop' } }], 'accept'), 'open');
});

test('chains that call each other come to an end', () => {
  const jump = (chain: string): Rule => ({ conditions: [], verdict: { kind: 'jump', chain } });
  const chains: Chains = new Map([
    ['a', { rules: [jump('b'), jump('b')], policy: 'accept' }],
    ['b', { rules: [jump('c'), jump('c')] }],
    ['c', { rules: [jump('b'), jump('b')] }],
  ]);
  assert.equal(fateOf(packet('udp', 67), chains), 'unknown');
});

test('a return leaves the chain, a goto does not come back', () => {
  const rules = (kind: 'jump' | 'goto'): Chains =>
    new Map([
      [
        'in',
        {
          rules: [
            { conditions: [], verdict: { kind, chain: 'own' } },
            { conditions: [], verdict: { kind: 'accept' } },
          ],
          policy: 'drop',
        },
      ],
      [
        'own',
        {
          rules: [
            { conditions: [], verdict: { kind: 'return' } },
            { conditions: [], verdict: { kind: 'drop' } },
          ],
        },
      ],
    ]);
  assert.equal(fateOf(packet('tcp', 7480), rules('jump')), 'open');
  assert.equal(fateOf(packet('tcp', 7480), rules('goto')), 'dropped');
});
