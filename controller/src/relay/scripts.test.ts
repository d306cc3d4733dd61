import assert from 'node:assert/strict';
import test from 'node:test';
import { PlanOffer, type ScriptServed } from '@nixie/proto/relay';
import type { Mac } from '../machine/mac.ts';
import { Loads } from './loads.ts';
import { readPlan } from './plan.ts';
import { Scripts } from './scripts.ts';
import { given } from './testing.ts';

const m1 = '52:54:00:00:00:01' as Mac;
const m2 = '52:54:00:00:00:02' as Mac;
const neighbours: Readonly<Record<string, Mac>> = { '10.9.0.100': m1, '10.9.0.102': m2 };

function house() {
  let isStale = false;
  let ticks = 0;
  const said: ScriptServed[] = [];
  const told: string[] = [];
  const loads = new Loads(() => ticks);
  const scripts = new Scripts({
    stale: () => isStale,
    loads,
    macAt: (address, on) =>
      on !== undefined && 'ours' in on && on.ours === '10.9.0.1' ? neighbours[address] : undefined,
    httpPort: 7480,
    agentPort: 7481,
    ticks: () => ticks,
    now: () => 1_000_000,
    say: (served) => void said.push(served),
    told: (_ask, machine, verdict) => void told.push(`${machine}: ${verdict}`),
  });
  const take = (more: Parameters<typeof given>[0] = {}) => {
    const read = readPlan(given(more));
    assert.ok('plan' in read);
    scripts.take(read.plan);
  };
  const ask = (mac = m1, remoteAddress = '10.9.0.100') => {
    const answer = scripts.answer({ mac, remoteAddress, localAddress: '10.9.0.1' });
    return 'script' in answer ? answer.script : `refused: ${answer.refuse}`;
  };
  return {
    loads,
    take,
    ask,
    said,
    told,
    scripts,
    makeStale: (is: boolean) => {
      isStale = is;
    },
    pass: (ms: number) => {
      ticks += ms;
    },
  };
}
const tokenIn = (script: string) => /nixie\.token=([0-9a-f]{32})/.exec(script)?.[1];

test('the machine gets a script with the relay’s own address, the controller’s fingerprint and a token of the stock', () => {
  const { take, ask, said } = house();
  assert.match(ask(), /^refused: this relay has heard nothing/);
  take();
  const script = ask();
  assert.match(script, /nixie\.controller=10\.9\.0\.1:7481 /);
  assert.match(script, new RegExp(`nixie\\.fingerprint=${'c'.repeat(64)} `));
  assert.match(script, new RegExp(`http://10\\.9\\.0\\.1:7480/f/${'a'.repeat(64)}/kernel`));
  assert.equal(tokenIn(script), '1'.repeat(32));
  assert.deepEqual(said, [
    { machine: 'm1', mac: m1, token: '1'.repeat(32), address: '10.9.0.100', unixMs: 1_000_000n, verdict: 'installer' },
  ]);
});

test('a token is given once, whatever later plans say; without any the machine waits', () => {
  const { take, ask, said, pass } = house();
  take();
  assert.deepEqual([tokenIn(ask()), tokenIn(ask())], ['1'.repeat(32), '2'.repeat(32)]);
  const waits = ask();
  assert.match(waits, /has to wait until the relay hears of its controller/);
  assert.match(waits, /chain --replace http:\/\/10\.9\.0\.1:7480\/boot\/52-54-00-00-00-01\.ipxe/);
  // Made before the controller heard of the scripts.
  take({ version: 8n });
  pass(5000);
  assert.equal(tokenIn(ask()), undefined);
  take({ version: 9n, tokens: ['2'.repeat(32), '3'.repeat(32)] });
  assert.equal(tokenIn(ask()), '3'.repeat(32));
  take({ version: 10n, tokens: ['2'.repeat(32), '3'.repeat(32)] });
  pass(5000);
  // Who asks as fast as it can is told of once.
  for (let i = 0; i < 100; i++) assert.equal(tokenIn(ask()), undefined);
  assert.deepEqual(
    said.map(({ verdict }) => verdict),
    ['installer', 'installer', 'no-token', 'no-token', 'installer', 'no-token'],
  );
  assert.ok(said.filter(({ verdict }) => verdict === 'no-token').every(({ token }) => token === ''));
});

test('strangers, unknown MACs and machines that are done get no token, and a stranger is not told to the controller as a script', () => {
  const { take, ask, said, told } = house();
  take();
  assert.match(ask(m1, '10.9.0.66'), /^refused: this script is for the machine/);
  assert.match(ask(m1, '10.9.0.102'), /^refused: this script is for the machine/);
  assert.match(ask('52:54:00:00:00:99' as Mac), /^refused: no machine of this run/);
  assert.equal(said.length, 0);
  assert.match(ask(m2, '10.9.0.102'), /boots from its own disk/);
  assert.equal(said.map(({ token }) => token).join(), '');
  assert.deepEqual(told, ['m1: stranger', 'undefined: unknown', 'm2: local']);
});

test('what is decided while the controller is away is not known: no installer, but the disk of who is done', () => {
  const { take, ask, makeStale } = house();
  take();
  makeStale(true);
  assert.match(ask(), /the relay has not heard of its controller for too long/);
  assert.match(ask(m2, '10.9.0.102'), /boots from its own disk/);
  makeStale(false);
  assert.ok(tokenIn(ask()));
});

test('while its installer runs nobody gets a token for a machine', () => {
  const { take, ask } = house();
  take({ offer: PlanOffer.PLAN_OFFER_WAIT });
  assert.match(ask(), /is being installed already/);
  take({ offer: PlanOffer.PLAN_OFFER_SILENT, version: 8n });
  assert.match(ask(), /not ready to be installed yet/);
});

test('a machine that boots in a circle is handed to its disk, until it begins anew', () => {
  const { take, ask, said } = house();
  const tokens = Array.from({ length: 9 }, (_, i) => String(i).repeat(32));
  take({ tokens });
  for (let i = 0; i < 6; i++) assert.ok(tokenIn(ask()), String(i));
  assert.match(ask(), /boots from its own disk/);
  assert.equal(said.at(-1)!.verdict, 'loop');
  take({ tokens, offer: PlanOffer.PLAN_OFFER_LOCAL, version: 8n });
  take({ tokens, version: 9n });
  assert.equal(tokenIn(ask()), '6'.repeat(32));
});

test('a script that can not be made says why and uses no token up', () => {
  const { scripts, ask, said } = house();
  const plan = given();
  plan.machines[0]!.boot.push('x'.repeat(2000));
  const read = readPlan(plan);
  assert.ok('plan' in read);
  scripts.take(read.plan);
  assert.match(ask(), /kernel command line of m1/);
  assert.equal(said[0]!.token, '');
  assert.equal(scripts.tokensOf(m1).length, 2);
});

test('where so many load as may the next one asks again, uses no token up, and the controller is told each time', () => {
  const { scripts, ask, said, loads, pass } = house();
  const read = readPlan({ ...given(), loads: 1 });
  assert.ok('plan' in read);
  scripts.take(read.plan);
  loads.began('m0');
  for (let i = 0; i < 3; i++) {
    assert.match(ask(), /waits until fewer machines load/);
    pass(15_000);
    loads.moved('m0');
  }
  assert.deepEqual(
    said.map(({ verdict, token }) => [verdict, token]),
    [1, 2, 3].map(() => ['crowded', '']),
  );
  loads.ended('m0');
  assert.equal(tokenIn(ask()), '1'.repeat(32));
  // It begins anew.
  assert.equal(tokenIn(ask()), '2'.repeat(32));
});
