import assert from 'node:assert/strict';
import test from 'node:test';
import { BootPlan, type DhcpMode, PlanOffer } from '@nixie/proto/relay';
import { type RelayPlan, readPlan, sceneOf } from './plan.ts';
import { given, kernelRef, links, loaderRef } from './testing.ts';

function taken(more: Parameters<typeof given>[0] = {}): RelayPlan {
  const read = readPlan(given(more));
  assert.ok('plan' in read, 'problems' in read ? read.problems.join() : '');
  return read.plan;
}
const everything = { here: new Set(['snponly.efi', 'undionly.kpxe']), stale: false, httpPort: 7480 };

test('a whole plan becomes a scene with our own addresses', () => {
  const scene = sceneOf(taken(), links, everything);
  assert.deepEqual(scene, {
    interfaces: {
      lan0: {
        name: 'lan0',
        address: '10.9.0.1',
        prefixLength: 24,
        dhcp: 'range',
        router: '10.9.0.254',
        dns: ['10.9.0.53'],
        leaseSeconds: 3600,
      },
    },
    machineOfMac: { '52:54:00:00:00:01': 'm1', '52:54:00:00:00:02': 'm2' },
    machines: {
      m1: { name: 'm1', system: 'x86_64-linux', offer: 'installer', addresses: { '52:54:00:00:00:01': '10.9.0.100' } },
      m2: { name: 'm2', system: 'x86_64-linux', offer: 'local', addresses: {} },
    },
    loaders: { x64: 'snponly.efi', bios: 'undionly.kpxe' },
    httpPort: 7480,
  });
});

test('without a plan, or without the loaders, nobody hears of a boot', () => {
  const nothing = sceneOf(undefined, links, everything);
  assert.deepEqual([nothing.machines, nothing.interfaces], [{}, {}]);
  const half = sceneOf(taken(), links, { ...everything, here: new Set(['snponly.efi']) });
  assert.deepEqual(
    Object.values(half.machines).map(({ offer }) => offer),
    ['silent', 'silent'],
  );
  // An address is no boot: who has no loader to wait for is leased one all the same.
  assert.deepEqual(half.machines.m1!.addresses, { '52:54:00:00:00:01': '10.9.0.100' });
});

test('a plan that is too old offers no installer, and still sends to the disk what was installed', () => {
  const old = sceneOf(taken(), links, { ...everything, stale: true });
  assert.equal(old.machines.m1!.offer, 'silent');
  assert.equal(old.machines.m2!.offer, 'local');
});

test('who has to wait is led to its script', () => {
  const plan = taken({ offer: PlanOffer.PLAN_OFFER_WAIT });
  assert.equal(plan.machines.get('m1')!.offer, 'wait');
  assert.equal(sceneOf(plan, links, everything).machines.m1!.offer, 'installer');
});

test('an interface that the plan does not name is not served', () => {
  const scene = sceneOf(taken(), [{ name: 'eth9', address: '10.3.0.1', prefixLength: 24 }], everything);
  assert.deepEqual(scene.interfaces, {});
});

const wrong: readonly (readonly [string, (plan: BootPlan) => void, RegExp])[] = [
  [
    'no version',
    (plan) => {
      plan.version = 0n;
    },
    /^version: found 0, accepted: more than 0/,
  ],
  [
    'another fingerprint',
    (plan) => {
      plan.fingerprint = 'AB';
    },
    /^fingerprint: found "AB", accepted: 64 lower-case/,
  ],
  [
    'a mode of a later version',
    (plan) => {
      plan.interfaces[0]!.dhcp = 9 as DhcpMode;
    },
    /interfaces\[0\]\.dhcp: found 9/,
  ],
  [
    'a router that is none',
    (plan) => {
      plan.interfaces[0]!.router = 'gw';
    },
    /interfaces\[0\]\.router: found "gw"/,
  ],
  [
    'a lease of no time',
    (plan) => {
      plan.interfaces[0]!.leaseSeconds = 0;
    },
    /lease_seconds: found 0/,
  ],
  [
    'a name with a path',
    (plan) => {
      plan.machines[0]!.name = '../m';
    },
    /machines\[0\]\.name: found "\.\.\/m"/,
  ],
  [
    'a name twice',
    (plan) => {
      plan.machines[1]!.name = 'm1';
    },
    /machines\[1\]\.name: .*each machine once/,
  ],
  [
    'another system',
    (plan) => {
      plan.machines[0]!.system = 'riscv64-linux';
    },
    /machines\[0\]\.system: found "riscv64/,
  ],
  [
    'no offer',
    (plan) => {
      plan.machines[0]!.offer = 0;
    },
    /machines\[0\]\.offer: found 0/,
  ],
  [
    'a word that iPXE would expand',
    (plan) => void plan.machines[0]!.boot.push('a=$' + '{x}'),
    /machines\[0\]\.boot\[0\]/,
  ],
  [
    'a MAC in capitals',
    (plan) => {
      plan.machines[0]!.cards[0]!.mac = '52:54:00:00:00:0A';
    },
    /cards\[0\]\.mac/,
  ],
  [
    'a MAC twice',
    (plan) => {
      plan.machines[1]!.cards[0]!.mac = '52:54:00:00:00:01';
    },
    /each MAC once; m1 has it/,
  ],
  [
    'an address twice',
    (plan) => {
      plan.machines[1]!.cards[0]!.address = '10.9.0.100';
    },
    /each address once/,
  ],
  [
    'a token that is none',
    (plan) => void plan.machines[0]!.cards[0]!.tokens.push('secret'),
    /tokens: one of them is not/,
  ],
  [
    'too many tokens',
    (plan) => void plan.machines[0]!.cards[0]!.tokens.push(...Array(20).fill('a'.repeat(32))),
    /at most 16/,
  ],
  [
    'a kernel of no bytes',
    (plan) => {
      plan.installers[0]!.kernel!.bytes = 0n;
    },
    /kernel\.bytes: found 0/,
  ],
  [
    'no initrd',
    (plan) => {
      plan.installers[0]!.initrd = undefined;
    },
    /initrd: found nothing, accepted: a file/,
  ],
  [
    'a hash that is none',
    (plan) => {
      plan.installers[0]!.kernel!.sha256 = '../../etc';
    },
    /kernel\.sha256: found/,
  ],
  ['two sizes of one file', (plan) => void plan.ahead.push({ ...kernelRef, bytes: 1n }), /ahead\[1\]\.bytes: found 1/],
  [
    'a huge loader',
    (plan) => {
      plan.loaders[0]!.file!.bytes = 1n << 40n;
    },
    /loaders\[0\]\.file\.bytes: .*at most/,
  ],
  [
    'a loader in a folder',
    (plan) => {
      plan.loaders[0]!.name = '../x';
    },
    /loaders\[0\]\.name/,
  ],
  [
    'two loaders for one firmware',
    (plan) => {
      plan.loaders[1]!.firmware = 'x64';
    },
    /one loader for each firmware/,
  ],
  [
    'a cache key that is none',
    (plan) => {
      plan.cacheKey = 'key';
    },
    /cache_key: found "key"/,
  ],
];
for (const [name, spoil, want] of wrong)
  test(`${name}: refused as a whole`, () => {
    const plan = BootPlan.fromPartial(given());
    spoil(plan);
    const read = readPlan(plan);
    assert.ok('problems' in read);
    assert.match(read.problems.join('\n'), want);
    assert.ok(!read.problems.join().includes('secret'), 'tokens are not shown');
  });

test('an empty plan is one: nobody is behind this relay', () => {
  const read = readPlan(BootPlan.fromPartial({ version: 1n, fingerprint: 'c'.repeat(64) }));
  assert.ok('plan' in read);
  assert.equal(read.plan.machines.size, 0);
  assert.equal(loaderRef.bytes, 1000n);
});
