import assert from 'node:assert/strict';
import test from 'node:test';
import { parseHosts } from './hosts.ts';

const read = (subnets: unknown, host: Record<string, unknown> = {}) =>
  parseHosts(
    new TextEncoder().encode(
      JSON.stringify({ $subnets: subnets, m1: { mac_address: 'aa:bb:cc:dd:ee:01', ...host } }, undefined, 1),
    ),
    'hosts.json',
  );
const problems = (subnets: unknown, host?: Record<string, unknown>): string[] => {
  const result = read(subnets, host);
  return result.ok ? [] : result.problems.map(({ where, text }) => `${where}: ${text}`);
};

test('subnets of the hosts file, and a host that is in one', () => {
  const result = read(
    [
      {
        cidr: '10.78.0.0/24',
        controller_address: '10.77.0.1',
        range: '10.78.0.100-10.78.0.199',
        router: '10.78.0.1',
        dns: ['10.0.0.53', '9.9.9.9'],
      },
      { cidr: '10.79.0.0/16', relay: 'site-b' },
    ],
    { subnet: 'site-b', address: '10.79.3.4' },
  );
  assert.ok(result.ok);
  assert.deepEqual(result.subnets, [
    {
      cidr: '10.78.0.0/24',
      network: '10.78.0.0',
      prefixLength: 24,
      controllerAddress: '10.77.0.1',
      range: { from: '10.78.0.100', to: '10.78.0.199' },
      router: '10.78.0.1',
      dns: ['10.0.0.53', '9.9.9.9'],
    },
    { cidr: '10.79.0.0/16', network: '10.79.0.0', prefixLength: 16, relay: 'site-b' },
  ]);
  assert.equal(result.hosts[0]!.subnet, 'site-b:10.79.0.0/16');
});

test('a file without subnets has none', () => {
  const result = parseHosts(new TextEncoder().encode('{"m1": {"mac_address": "aabbccddee01"}}'), 'hosts.json');
  assert.deepEqual(result.ok && result.subnets, []);
});

for (const [name, given, want, host] of [
  [
    'an address that is no network',
    [{ cidr: '10.78.0.7/24' }],
    [
      '$.$subnets[0].cidr: found "10.78.0.7/24", accepted: an IPv4 network with 8 to 30 bits, like "10.78.0.0/24"',
      '$.$subnets[0].cidr: did you mean "10.78.0.0/24"?',
    ],
  ],
  [
    'an overlap',
    [{ cidr: '10.0.0.0/8' }, { cidr: '10.78.0.0/24' }],
    [/\[1\]\.cidr: found "10\.78\.0\.0\/24", which overlaps with "10\.0\.0\.0\/8" \(line 3\)/],
  ],
  ['a duplicate', [{ cidr: '10.78.0.0/24' }, { cidr: '10.78.0.0/24' }], [/which is declared already \(line 3\)/]],
  [
    'several at once, of one entry',
    [{ cidr: '10.78.0.0/24', range: '10.78.0.200-10.78.1.3', router: '10.78.0.255', controller_address: '0.0.0.0' }],
    [/controller_address: found "0\.0\.0\.0"/],
  ],
  [
    'a range that leaves the subnet, and a router that none can be',
    [{ cidr: '10.78.0.0/24', range: '10.78.0.200-10.78.1.3', router: '10.78.0.255' }],
    [
      /range: found "10\.78\.0\.200-10\.78\.1\.3", and 10\.78\.1\.3 is not for machines of 10\.78\.0\.0\/24/,
      /router: found "10\.78\.0\.255"/,
    ],
  ],
  [
    'name servers where another server gives out the addresses',
    [{ cidr: '10.78.0.0/24', dns: ['9.9.9.9'] }],
    [/dns: found "9\.9\.9\.9" without "range"/],
  ],
  [
    'name servers that are none, and too many',
    [
      { cidr: '10.78.0.0/24', range: '10.78.0.3-10.78.0.9', dns: ['ns1'] },
      {
        cidr: '10.79.0.0/24',
        range: '10.79.0.3-10.79.0.9',
        dns: ['9.9.9.1', '9.9.9.2', '9.9.9.3', '9.9.9.4', '9.9.9.5'],
      },
    ],
    [/dns\[0\]: found "ns1", accepted: an IPv4 address of a name server/, /dns: .*1 to 4 IPv4 addresses/],
  ],
  ['a range backwards', [{ cidr: '10.78.0.0/24', range: '10.78.0.9-10.78.0.3' }], [/range: found .*first and last/]],
  ['a misspelt key', [{ cidr: '10.78.0.0/24', rnage: 'x' }], [/rnage: unknown key; did you mean "range"\?/]],
  [
    'a host in no subnet',
    [{ cidr: '10.78.0.0/24' }],
    [/m1\.subnet: found "10\.1\.0\.0\/24", which is no subnet; accepted: "10\.78\.0\.0\/24"/],
    { subnet: '10.1.0.0/24' },
  ],
  [
    'a cidr that two relays have',
    [
      { cidr: '10.78.0.0/24', relay: 'a' },
      { cidr: '10.78.0.0/24', relay: 'b' },
    ],
    [/may be several; accepted: "a:10\.78\.0\.0\/24", "b:10\.78\.0\.0\/24"/],
    { subnet: '10.78.0.0/24' },
  ],
  [
    'an address elsewhere',
    [{ cidr: '10.78.0.0/24' }],
    [/m1\.address: found "10\.77\.0\.5", accepted: an address of 10\.78\.0\.0\/24, its subnet/],
    { subnet: '10.78.0.0/24', address: '10.77.0.5' },
  ],
  ['an object in place of the array', { cidr: '10.78.0.0/24' }, [/accepted: an array of objects/]],
] as [string, unknown, (string | RegExp)[], Record<string, unknown>?][])
  test(`${name} is told with its path`, () => {
    const found = problems(given, host);
    assert.equal(found.length, want.length, found.join('\n'));
    want.forEach((each, index) => {
      if (typeof each === 'string') assert.equal(found[index], each);
      else assert.match(found[index]!, each);
    });
  });

test('the same addresses behind two relays are two subnets', () => {
  const result = read([
    { cidr: '10.78.0.0/24', relay: 'a' },
    { cidr: '10.78.0.0/24', relay: 'b' },
    { cidr: '10.78.0.0/24' },
  ]);
  assert.equal(result.ok && result.subnets.length, 3);
});
