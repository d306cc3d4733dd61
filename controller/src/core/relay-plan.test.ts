import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import test from 'node:test';
import { DhcpMode, PlanOffer } from '@nixie/proto/relay';
import type { Host } from '../machine/host.ts';
import { type Life, newLife } from '../machine/life.ts';
import type { Mac } from '../machine/mac.ts';
import type { Stage } from '../machine/stage.ts';
import { plainHost } from '../machine/testing.ts';
import { TokenBook } from '../machine/token.ts';
import type { Installer } from '../nix/types.ts';
import { makeRelayPlan, type RelayPlanParts } from './relay-plan.ts';
import { renewAfterMs, stockLifeMs, stockOfEach, TokenStock } from './relay-stock.ts';

const mac = '52:54:00:00:00:01' as Mac;
const host = (name: string, relay: string | undefined, more: Partial<Host> = {}): Host =>
  plainHost(name, [mac], { boot: ['console=ttyS0'], ...(relay !== undefined && { relay }), ...more });
const installer: Installer = {
  system: 'x86_64-linux',
  kernel: { path: '/nix/store/k', bytes: 10, sha256: 'a'.repeat(64) },
  initrd: { path: '/nix/store/i', bytes: 20, sha256: 'b'.repeat(64) },
  commandLine: ['init=/nix/store/x/init'],
  warnings: [],
};
const stages: Record<string, Stage> = {};
const parts: RelayPlanParts = {
  relay: 'rack7',
  interfaces: [{ name: 'lan0', address: '10.0.0.1', prefixLength: 24, mtu: 1500 }],
  hosts: [host('here', undefined), host('there', 'rack7'), host('far', 'rack8')],
  life: (name): Life => ({ ...newLife(name, 0), stage: stages[name] ?? 'waking' }),
  leaving: () => false,
  alive: () => false,
  installers: new Map([['x86_64-linux', installer]]),
  loaders: [],
  tokens: (name, card) => [`${name} ${card}`],
  subnets: [],
  fingerprint: 'f'.repeat(64),
  httpPort: 7480,
  agentPort: 7481,
  cacheKey: '',
  loads: 84,
};

test('a relay is told of its own machines, even where others have the same MAC', () => {
  const plan = makeRelayPlan(parts);
  assert.deepEqual(
    plan.machines.map(({ name, cards }) => [name, cards[0]?.mac, cards[0]?.tokens]),
    [['there', mac, [`there ${mac}`]]],
  );
  assert.ok(!JSON.stringify(plan, (_, value) => String(value)).includes('rack8'));
});

const offers: readonly [Stage, Partial<RelayPlanParts>, PlanOffer, boolean][] = [
  ['planned', {}, PlanOffer.PLAN_OFFER_SILENT, false],
  ['waking', {}, PlanOffer.PLAN_OFFER_INSTALLER, true],
  ['copy', { alive: () => true }, PlanOffer.PLAN_OFFER_WAIT, true],
  ['copy', {}, PlanOffer.PLAN_OFFER_INSTALLER, true],
  ['rebooting', { alive: () => true }, PlanOffer.PLAN_OFFER_LOCAL, false],
  ['proved', {}, PlanOffer.PLAN_OFFER_LOCAL, false],
  ['failed', {}, PlanOffer.PLAN_OFFER_LOCAL, false],
  ['waking', { leaving: () => true }, PlanOffer.PLAN_OFFER_SILENT, false],
];
for (const [stage, more, offer, tokens] of offers)
  test(`${stage}${Object.keys(more).join()}: offer ${offer}, ${tokens ? 'with' : 'without'} tokens`, () => {
    stages.there = stage;
    const [only] = makeRelayPlan({ ...parts, ...more }).machines;
    delete stages.there;
    assert.deepEqual([only?.offer, (only?.cards[0]?.tokens.length ?? 0) > 0], [offer, tokens]);
  });

test('files are fetched ahead while somebody waits for them', () => {
  const hashes = () => makeRelayPlan(parts).ahead.map(({ sha256 }) => sha256[0]);
  assert.deepEqual(hashes(), ['a', 'b']);
  stages.there = 'proved';
  assert.deepEqual(hashes(), []);
  delete stages.there;
});

test('a subnet with a range is served by its relay alone, one without beside another server', () => {
  const subnet = { cidr: '10.0.0.0/24', network: '10.0.0.0', prefixLength: 24, relay: 'rack7', router: '10.0.0.254' };
  const range = { from: '10.0.0.10', to: '10.0.0.20' };
  const planned = (more: object, relay = 'rack7') => ({
    key: `${relay}:10.0.0.0/24`,
    subnet: { ...subnet, ...more, relay },
    addresses: { [mac]: '10.0.0.11' },
  });
  const shown = (...subnets: RelayPlanParts['subnets']) => {
    const { interfaces, machines } = makeRelayPlan({ ...parts, subnets });
    return [interfaces[0]?.dhcp, interfaces[0]?.router, machines[0]?.cards[0]?.address];
  };
  assert.deepEqual(shown(planned({ range })), [DhcpMode.DHCP_MODE_RANGE, '10.0.0.254', '10.0.0.11']);
  assert.deepEqual(shown(planned({})), [DhcpMode.DHCP_MODE_PROXY, '', '']);
  assert.deepEqual(shown(planned({ range }, 'rack8')), [DhcpMode.DHCP_MODE_PROXY, '', '']);
  const dns = (more: object) => makeRelayPlan({ ...parts, subnets: [planned(more)] }).interfaces[0]?.dns;
  assert.deepEqual(dns({ range, dns: ['10.0.0.53', '9.9.9.9'] }), ['10.0.0.53', '9.9.9.9']);
  assert.deepEqual([dns({ range }), dns({ dns: ['9.9.9.9'] })], [[], []]);
});

test('the stock of tokens is kept full and fresh, and is none of a boot under way', () => {
  let now = 0;
  const tokens = new TokenBook(randomBytes);
  const stock = new TokenStock({ tokens, changed: () => {}, ticks: () => now });
  const first = stock.of('there', mac);
  assert.equal(new Set(first).size, 3);
  assert.deepEqual(stock.of('there', mac), first);
  assert.equal(tokens.expects('there', now), false);

  assert.equal(tokens.served(first[0]!, 'other', now), false);
  assert.equal(tokens.served(first[0]!, 'there', now), true);
  assert.equal(tokens.served(first[0]!, 'there', now), false);
  assert.equal(tokens.expects('there', now), true);
  const second = stock.of('there', mac);
  assert.deepEqual(second.slice(0, 2), first.slice(1));
  assert.equal(second.length, 3);

  now = renewAfterMs;
  const third = stock.of('there', mac);
  assert.ok(!third.some((token) => second.includes(token)));
  // A relay that was cut off before it heard of them still has the older ones.
  assert.equal(tokens.check(second[0]!, mac, 'key', now).verdict, 'ok');
  assert.equal(tokens.check(second[0]!, mac, 'key', stockLifeMs + 1).verdict, 'expired');
  // The one that was given out lives as any other.
  assert.equal(tokens.check(first[0]!, mac, 'key', now).verdict, 'expired');

  stock.drop('there');
  assert.equal(tokens.check(third[0]!, mac, 'key', now).verdict, 'unknown');
});

test('a stock survives a restart of the controller', () => {
  const before = new TokenBook(randomBytes);
  const token = before.stock(mac, 'there', 0, stockLifeMs);
  const after = new TokenBook(randomBytes);
  after.restore(JSON.parse(JSON.stringify(before.list())), renewAfterMs, renewAfterMs);
  assert.equal(after.check(token, mac, 'key', renewAfterMs).verdict, 'ok');
  assert.ok(after.isStocked(token));
});

test('so many cards that three tokens for each are more than the book holds have fewer, which last', () => {
  const tokens = new TokenBook(randomBytes);
  const stock = new TokenStock({ tokens, changed: () => {}, ticks: () => 0 });
  const cards = 9000;
  const all = () => Array.from({ length: cards }, (_, index) => stock.of(`h${index}`, mac, stockOfEach(cards)));
  const first = all();
  assert.ok(first.every((each) => each.length > 0));
  // Compared as text: what differs in so many is long to tell.
  assert.ok(String(all()) === String(first), 'they are good still, and nothing new is sent');
  assert.deepEqual([0, 1, 4000, 6000, 12_000, 1e6].map(stockOfEach), [3, 3, 3, 2, 1, 1]);
});
