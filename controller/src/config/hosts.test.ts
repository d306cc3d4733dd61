import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import fc from 'fast-check';
import { type Mac, parseMac } from '../machine/mac.ts';
import { parseHosts } from './hosts.ts';
import { hostsJsonSchema, macPattern } from './hosts-schema.ts';
import { problemLine } from './problem.ts';
import { parseSize } from './sizes.ts';

const bytesOf = (text: string) => new TextEncoder().encode(text);

/** The report, one line for each problem. */
function report(given: string | Uint8Array): string[] {
  const result = parseHosts(typeof given === 'string' ? bytesOf(given) : given, 'hosts.json');
  assert.ok(!result.ok, 'has no problem');
  return result.problems.map(problemLine);
}

function hostsOf(given: string | Uint8Array) {
  const result = parseHosts(typeof given === 'string' ? bytesOf(given) : given, 'hosts.json');
  assert.ok(result.ok, result.ok ? '' : result.problems.map(problemLine).join('\n'));
  return result.hosts;
}

test('the file of the Go Nixie is enough', () => {
  assert.deepEqual(hostsOf('{"machine1": {"mac_address": "AA:BB:CC:DD:EE:FF"}}'), [
    {
      name: 'machine1',
      flakeAttr: 'machine1',
      macs: ['aa:bb:cc:dd:ee:ff'],
      system: 'x86_64-linux',
      tags: [],
      boot: [],
      expectDisks: [],
      wipe: false,
    },
  ]);
});

test('every field arrives, in the order of the file', () => {
  const [second, first] = hostsOf(`\uFEFF{
    "$schema": "./hosts.schema.json",
    "b": {
      "mac_address": "02-00-00-00-00-01", "mac_addresses": ["0200.0000.0001", "020000000002"],
      "system": "aarch64-linux", "flake_attr": "rack.b", "tags": ["rack:1"], "boot": ["console=ttyS0,115200"],
      "address": "10.0.0.5", "wipe": true,
      "expect_disks": [{"serial": "S4EV NF0M", "min_size": "400G", "max_size": "1.5TiB", "rotational": false}, {"wwn": "0x5000c500a1b2c3d4", "min_size": 512}, {"count": 2, "rotational": true}],
      "disk": {"min_size": "400G", "max_size": 500000000000, "rotational": false, "model": "SAMSUNG*", "serial": "S1", "wwn": "0x5", "by_path": "pci-1"},
      "inventory": "b/inventory.json",
      "allow_removable": true
    },
    "1": {"mac_address": "02:00:00:00:00:03"}
  }`);
  assert.equal(first?.name, '1');
  assert.deepEqual(second, {
    name: 'b',
    flakeAttr: 'rack.b',
    macs: ['02:00:00:00:00:01', '02:00:00:00:00:02'],
    system: 'aarch64-linux',
    tags: ['rack:1'],
    boot: ['console=ttyS0,115200'],
    address: '10.0.0.5',
    expectDisks: [
      { serial: 'S4EV NF0M', minSizeBytes: 400e9, maxSizeBytes: 1.5 * 2 ** 40, rotational: false },
      { wwn: '0x5000c500a1b2c3d4', minSizeBytes: 512 },
      { rotational: true, count: 2 },
    ],
    disk: {
      minSizeBytes: 400e9,
      maxSizeBytes: 500e9,
      rotational: false,
      model: 'SAMSUNG*',
      serial: 'S1',
      wwn: '0x5',
      byPath: 'pci-1',
    },
    inventory: 'b/inventory.json',
    wipe: true,
    allowRemovable: true,
  });
});

test('all that is wrong with hints, each with its line', () => {
  const lines = report(`{"a": {"mac_address": "02:00:00:00:00:01", "disk": {
"min_size": "big",
"rotational": "no",
"seriel": "S"}}}`);
  assert.deepEqual(lines, [
    'hosts.json:2:13: $.a.disk.min_size: found "big", accepted: bytes as a whole number above 0, or text like "400G", "1.5TB" (powers of 1000) or "372GiB"',
    'hosts.json:3:15: $.a.disk.rotational: found "no", accepted: true or false',
    'hosts.json:4:1: $.a.disk.seriel: unknown key; did you mean "serial"?',
  ]);
});

test('all problems come in one report, each with its path and line', () => {
  const lines = report(`{
  "machine1": {"mac_adress": "aa:bb:cc:dd:ee:fe", "wipe": "yes"},
  "machine2": {"mac_address": "aa:bb:cc:dd:ee:f"},
  "machine3": {"mac_address": "02-00-00-00-00-01", "system": "x86"},
  "machine4": {"mac_address": "020000000001",
    "address": "1.2.3.04", "boot": ["a=1", "b c"]}
}`);
  const starts = [
    'hosts.json:2:16: $.machine1.mac_adress: unknown key; did you mean "mac_address"?',
    'hosts.json:2:59: $.machine1.wipe: found "yes", accepted: true or false',
    'hosts.json:3:31: $.machine2.mac_address: found "aa:bb:cc:dd:ee:f", accepted: the address of one network card as ',
    'hosts.json:4:62: $.machine3.system: found "x86", accepted: "x86_64-linux" or "aarch64-linux"',
    'hosts.json:5:31: $.machine4.mac_address: 02:00:00:00:00:01 is already that of "machine3" (line 4); ',
    'hosts.json:6:16: $.machine4.address: found "1.2.3.04", accepted: an IPv4 address ',
    'hosts.json:6:44: $.machine4.boot[1]: found "b c", accepted: a kernel word ',
  ];
  assert.equal(lines.length, starts.length, lines.join('\n'));
  for (const [index, start] of starts.entries()) assert.ok(lines[index]?.startsWith(start), lines[index]);
});

const mac = '"mac_address": "02:00:00:00:00:01"';
const wrong: readonly [name: string, text: string | Uint8Array, line: RegExp][] = [
  ['an empty file', '', /^hosts\.json: \$: found an empty file, accepted: /],
  ['only space', ' \n', /found an empty file/],
  ['an array', '[]', /^hosts\.json:1:1: \$: found an empty array, accepted: an object with an entry for each machine/],
  ['no machine', '{}', /found no machine, accepted: at least one entry/],
  ['only a schema', '{"$schema": "x"}', /found no machine/],
  ['YAML', 'a:\n  mac_address: x\n', /:1:1: \$: not JSON: found "a"/],
  ['a comment', `{\n // x\n"a": {${mac}}}`, /:2:2: \$: not JSON: found a comment/],
  ['a trailing comma', `{"a": {${mac}},}`, /not JSON: found "," before "}"/],
  ['no UTF-8', Uint8Array.of(0x7b, 0x0a, 0x22, 0xe4, 0x22), /:2:2: \$: found the byte 0xe4, which is no UTF-8/],
  ['a cut character', Uint8Array.of(0x7b, 0xe2, 0x82), /found the byte 0xe2, which is no UTF-8/],
  ['UTF-16', Uint8Array.of(0xff, 0xfe, 0x7b, 0), /found UTF-16; accepted: JSON in UTF-8/],
  [
    'a doubled machine',
    `{"a": {${mac}},\n"a": {${mac}}}`,
    /:2:1: \$\.a: the key stands here a second time; the first is on line 1/,
  ],
  ['a doubled key', `{"a": {${mac}, ${mac}}}`, /\$\.a\.mac_address: the key stands here a second time/],
  ['no MAC', '{"a": {}}', /:1:7: \$\.a: found \{\}, accepted: "mac_address" or "mac_addresses"/],
  ['no object', '{"a": "02:00:00:00:00:01"}', /\$\.a: found "02:00:00:00:00:01", accepted: an object, like /],
  ['null', '{"a": null}', /\$\.a: found null, accepted: an object/],
  ['a group address', '{"a": {"mac_address": "01:00:5e:00:00:01"}}', /no group address/],
  [
    'a MAC that is a number',
    '{"a": {"mac_address": 20000000001}}',
    /found 20000000001, accepted: the address of one network card/,
  ],
  ['an empty list of MACs', '{"a": {"mac_addresses": []}}', /accepted: an array of at least one MAC address/],
  ['a path as a name', `{"../a": {${mac}}}`, /\$\["\.\.\/a"\]: found the name "\.\.\/a", accepted: a name of 1 to 63/],
  ['a name of 64 letters', `{"${'a'.repeat(64)}": {${mac}}}`, /found the name "aaa/],
  ['__proto__ as a name', `{"__proto__": {${mac}}}`, /\$\.__proto__: found the name/],
  ['__proto__ as a key', `{"a": {${mac}, "__proto__": {"wipe": true}}}`, /\$\.a\.__proto__: unknown key/],
  ['an unknown key like nothing', `{"a": {${mac}, "colour": 1}}`, /unknown key; accepted: mac_address, /],
  ['a script in boot', `{"a": {${mac}, "boot": ["a=\${net0/ip}"]}}`, /\$\.a\.boot\[0\]: found/],
  ['chained boot', `{"a": {${mac}, "boot": ["a&&reboot"]}}`, /\$\.a\.boot\[0\]: found/],
  ['our own word in boot', `{"a": {${mac}, "boot": ["nixie.controller=1.2.3.4:7481"]}}`, /none of nixie\.\*/],
  ['boot as text', `{"a": {${mac}, "boot": "quiet"}}`, /found "quiet", accepted: an array of kernel words/],
  ['a multicast address', `{"a": {${mac}, "address": "224.0.0.1"}}`, /an IPv4 address that a machine can have/],
  ['IPv6', `{"a": {${mac}, "address": "fe80::1"}}`, /an IPv4 address that a machine can have/],
  [
    'an address of two',
    `{"a": {${mac}, "address": "10.0.0.2"},\n "b": {"mac_address": "02:00:00:00:00:02", "address": "10.0.0.2"}}`,
    /:2:55: \$\.b\.address: "10\.0\.0\.2" is already that of "a" \(line 1\)/,
  ],
  [
    'hints that say nothing',
    `{"a": {${mac}, "disk": {}}}`,
    /\$\.a\.disk: found \{\}, accepted: an object with at least one of "min_size"/,
  ],
  [
    'hints as a path',
    `{"a": {${mac}, "disk": "/dev/sda"}}`,
    /\$\.a\.disk: found "\/dev\/sda", accepted: an object with/,
  ],
  [
    'hints that no disk can meet',
    `{"a": {${mac}, "disk": {"min_size": "2TB", "max_size": "1TiB"}}}`,
    /min_size not above max_size/,
  ],
  [
    'a disk without a condition',
    `{"a": {${mac}, "expect_disks": [{}]}}`,
    /expect_disks\[0\]: found \{\}, accepted: an object with at least one/,
  ],
  [
    'a disk that cannot be',
    `{"a": {${mac}, "expect_disks": [{"min_size": "2G", "max_size": "1G"}]}}`,
    /min_size not above max_size/,
  ],
  [
    'a size without meaning',
    `{"a": {${mac}, "expect_disks": [{"min_size": "4 apples"}]}}`,
    /\[0\]\.min_size: found "4 apples", accepted: bytes as/,
  ],
  [
    'a negative size',
    `{"a": {${mac}, "expect_disks": [{"min_size": -1}]}}`,
    /\.min_size: found -1, accepted: bytes as/,
  ],
  [
    'an unknown disk key',
    `{"a": {${mac}, "expect_disks": [{"size": 1}]}}`,
    /\$\.a\.expect_disks\[0\]\.size: unknown key; /,
  ],
];
for (const [name, text, line] of wrong)
  test(`refuses ${name}`, () => {
    const lines = report(text);
    assert.equal(lines.length, 1, lines.join('\n'));
    assert.match(lines[0]!, line);
  });

const anyMac = fc
  .uint8Array({ minLength: 6, maxLength: 6 })
  .filter((octets) => (octets[0]! & 1) === 0 && octets.some((octet) => octet !== 0))
  .map((octets) => Array.from(octets, (octet) => octet.toString(16).padStart(2, '0')));
const group = (octets: string[], size: number, separator: string) =>
  octets
    .join('')
    .match(new RegExp(`.{${size}}`, 'g'))!
    .join(separator);
const spellings: readonly ((octets: string[]) => string)[] = [
  (octets) => octets.join(':'),
  (octets) => octets.join('-'),
  (octets) => octets.join(''),
  (octets) => group(octets, 4, '.'),
  (octets) => group(octets, 4, ':'),
  (octets) => group(octets, 6, '-'),
];

test('six spellings of a MAC in either case mean the same machine, and the schema for editors takes them too', () => {
  fc.assert(
    fc.property(anyMac, fc.constantFrom(...spellings), fc.boolean(), (octets, spell, upper) => {
      const word = upper ? spell(octets).toUpperCase() : spell(octets);
      assert.equal(parseMac(word), octets.join(':') as Mac);
      assert.match(word, new RegExp(macPattern));
      assert.deepEqual(hostsOf(JSON.stringify({ a: { mac_address: word } }))[0]?.macs, [octets.join(':')]);
    }),
  );
});

test('two spellings of one MAC in two hosts are found', () => {
  fc.assert(
    fc.property(anyMac, fc.constantFrom(...spellings), fc.constantFrom(...spellings), (octets, one, other) => {
      const lines = report(JSON.stringify({ a: { mac_address: one(octets) }, b: { mac_addresses: [other(octets)] } }));
      assert.equal(lines.length, 1);
      assert.match(lines[0]!, /\$\.b\.mac_addresses\[0\]: .* is already that of "a" \(line 1\)/);
    }),
  );
});

test('never throws on arbitrary bytes, and a problem always has a place and a text', () => {
  const json = fc.jsonValue().map((value) => bytesOf(JSON.stringify(value)));
  const near = fc
    .dictionary(
      fc.string(),
      fc.dictionary(
        fc.constantFrom('mac_address', 'mac_addresses', 'boot', 'expect_disks', 'address', 'x'),
        fc.jsonValue(),
      ),
    )
    .map((value) => bytesOf(JSON.stringify(value)));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), json, near), (bytes) => {
      const result = parseHosts(bytes, 'f');
      if (result.ok) assert.ok(result.hosts.length > 0);
      else {
        assert.ok(result.problems.length > 0);
        for (const problem of result.problems) {
          assert.match(problem.where, /^\$/);
          assert.doesNotMatch(problemLine(problem), /[\u0000-\u001f\u007f]/);
        }
      }
    }),
    { numRuns: 1000 },
  );
});

test('sizes', () => {
  const table: readonly [given: string, want: number | undefined][] = [
    ['400G', 400e9],
    ['400 GB', 400e9],
    ['1.5T', 1.5e12],
    ['372GiB', 372 * 2 ** 30],
    ['372Gi', 372 * 2 ** 30],
    ['1024', 1024],
    ['1024B', 1024],
    ['0', undefined],
    ['0.5', undefined],
    ['400g', undefined],
    ['4e3', undefined],
    ['', undefined],
    ['99999999P', undefined],
  ];
  for (const [given, want] of table) assert.equal(parseSize(given), want, given);
});

test('hosts.schema.json is what the validator says: `node controller/src/config/write-schema.ts` writes it', () => {
  assert.equal(readFileSync(new URL('../../hosts.schema.json', import.meta.url), 'utf8'), hostsJsonSchema());
});

test('MACs and addresses are unique behind each relay; a subnet says its relay', () => {
  const mac = 'aa:bb:cc:dd:ee:01';
  const entry = (more: object) => ({ mac_address: mac, address: '10.0.0.9', ...more });
  const file = {
    $subnets: [{ cidr: '10.0.0.0/24', relay: 'c' }],
    own: entry({}),
    a: entry({ relay: 'a' }),
    b: entry({ relay: 'b' }),
    c: entry({ subnet: 'c' }),
  };
  assert.deepEqual(
    hostsOf(JSON.stringify(file)).map(({ name, relay }) => [name, relay]),
    [
      ['own', undefined],
      ['a', 'a'],
      ['b', 'b'],
      ['c', 'c'],
    ],
  );
  const problems = (more: object) => {
    const result = parseHosts(bytesOf(JSON.stringify({ ...file, ...more })), 'hosts.json');
    return result.ok ? '' : result.problems.map(problemLine).join('\n');
  };
  assert.match(problems({ d: entry({ relay: 'c' }) }), /\$\.d\.mac_address: .* is already that of "c"/);
  assert.match(problems({ d: { mac_address: 'aa:bb:cc:dd:ee:02', relay: '../x' } }), /\$\.d\.relay: found "\.\.\/x"/);
  assert.match(
    problems({ d: { mac_address: 'aa:bb:cc:dd:ee:02', relay: 'b', subnet: 'c' } }),
    /\$\.d\.relay: found "b", and 10\.0\.0\.0\/24, its subnet, is behind "c"/,
  );
});
