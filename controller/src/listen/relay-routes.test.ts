import assert from 'node:assert/strict';
import test from 'node:test';
import type { Mac } from '../machine/mac.ts';
import { routeIn, watchRelayRoutes } from './relay-routes.ts';
import type { Seen } from './seen.ts';

const mac = '52:54:00:00:00:01' as Mac;
const answered: Seen = { kind: 'dhcp-answered', mac, machine: 'm1', interface: 'eth0', giaddr: '10.78.0.254' };

function watch(routes: Record<string, string | undefined>) {
  const told: Seen[] = [];
  const asked: string[] = [];
  let now = 0;
  const see = watchRelayRoutes({
    onSeen: (seen) => void told.push(seen),
    async routeTo(address) {
      asked.push(address);
      return routes[address];
    },
    ticks: () => now,
  });
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
  const pass = (ms: number) => {
    now += ms;
  };
  return { told, asked, see, settle, pass };
}

test('a relay that is reached by the interface it was heard on is nothing to speak of', async () => {
  const { told, asked, see, settle } = watch({ '10.78.0.254': 'eth0' });
  see(answered);
  see(answered);
  await settle();
  assert.deepEqual([told, asked], [[], ['10.78.0.254']]);
});

test('no route, and one by another interface, are answers that could not be sent', async () => {
  const { told, see, settle, pass } = watch({ '10.79.0.254': 'eth1' });
  see(answered);
  see({ ...answered, giaddr: '10.79.0.254' });
  await settle();
  assert.deepEqual(
    told.map(({ kind, giaddr, detail }) => [kind, giaddr, detail]),
    [
      ['dhcp-unsent', '10.78.0.254', 'no route from eth0'],
      ['dhcp-unsent', '10.79.0.254', 'the route to it leaves by eth1, not by eth0'],
    ],
  );
  pass(60_000);
  see(answered);
  await settle();
  assert.equal(told.length, 3, 'it is looked at again after a while');
});

test('what came without a relay, of no machine of ours, or got no answer, asks nothing', async () => {
  const { asked, see, settle } = watch({});
  const { giaddr: _none, ...near } = answered;
  const { machine: _nobody, ...stranger } = answered;
  for (const seen of [near, stranger, { ...answered, kind: 'dhcp-silent' as const }]) see(seen);
  await settle();
  assert.deepEqual(asked, []);
});

test('the routing table: the longest prefix, then the lowest metric; no route that is down or refuses', () => {
  const head = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT';
  const lines = [
    'eth1\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0',
    'eth0\t004E0A0A\tFE004D0A\t0003\t0\t0\t0\t00FFFFFF\t0\t0\t0',
    'eth2\t00004E0A\tFE004D0A\t0003\t0\t0\t50\t00FFFFFF\t0\t0\t0',
    'eth0\t00004E0A\tFE004D0A\t0003\t0\t0\t20\t00FFFFFF\t0\t0\t0',
    'eth3\t00004E0A\tFE004D0A\t0002\t0\t0\t10\t00FFFFFF\t0\t0\t0',
    '*\t00004F0A\t00000000\t0201\t0\t0\t0\t00FFFFFF\t0\t0\t0',
    'torn',
    '',
  ];
  const table = [head, ...lines].join('\n');
  assert.equal(routeIn(table, '10.78.0.254'), 'eth0');
  assert.equal(routeIn(table, '10.80.0.1'), 'eth1');
  assert.equal(routeIn([head, ...lines.slice(1)].join('\n'), '10.80.0.1'), undefined);
});
