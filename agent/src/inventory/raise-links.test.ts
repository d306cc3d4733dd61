import assert from 'node:assert/strict';
import test from 'node:test';
import { networkCard } from './fixtures/parts.ts';
import { type Laid, layTree } from './lay-tree.ts';
import { type RaiseWorld, raiseLinks, usedLinks } from './raise-links.ts';
import { folderSource } from './source.ts';

const down = { flags: '0x1002\n', carrier: '' };
const card = (name: string, mac: string, more: Laid = down): Laid => networkCard(name, `pci0/${name}`, mac, more);
const machine: Laid = {
  ...card('eno1', '52:54:00:00:00:01', { flags: '0x1003\n', carrier: '1\n' }),
  ...card('eno2', '52:54:00:00:00:02'),
  ...card('eno3', '52:54:00:00:00:03'),
  ...card('booted', '52:54:00:00:00:04'),
  ...card('leg', '52:54:00:00:00:05', { ...down, master: '→ ../bond0', upper_bond0: '→ ../bond0' }),
  ...card('wlan0', '52:54:00:00:00:06', { ...down, 'wireless/x': '' }),
  ...card('vf', '52:54:00:00:00:07'),
  'sys/devices/pci0/vf/physfn/vendor': '',
  ...card('static', '52:54:00:00:00:08'),
  ...card('refuses', '52:54:00:00:00:09'),
  ...card('locked', '52:54:00:00:00:0a'),
  'sys/class/net/bond0/flags': '0x1002\n',
  'sys/class/net/lo/flags': '0x8\n',
};
const addresses = [
  { ifname: 'eno1', addr_info: [{ family: 'inet', local: '10.0.0.9' }] },
  ...['eno2', 'eno3', 'booted', 'wlan0', 'vf', 'refuses', 'locked'].map((ifname) => ({ ifname, addr_info: [] })),
  { ifname: 'leg', addr_info: [], master: 'bond0' },
  { ifname: 'static', addr_info: [{ family: 'inet', local: '10.9.9.9' }] },
];

/** Carriers come after so many milliseconds, by card. */
function play(
  carriers: Record<string, number>,
  ip: { code?: number; stdout: string } = { code: 0, stdout: JSON.stringify(addresses) },
) {
  const { root, remove } = layTree(machine);
  let at = 0;
  const done: string[] = [];
  const plain = folderSource(root);
  const world: RaiseWorld = {
    source: {
      ...plain,
      read: async (path) => {
        const name = /^\/sys\/class\/net\/(.*)\/carrier$/.exec(path)?.[1];
        return name === undefined ? plain.read(path) : Buffer.from(at >= (carriers[name] ?? Infinity) ? '1\n' : '0\n');
      },
      run: async (argv) => {
        if (argv[1] === '-j') return { code: ip.code, stdout: ip.stdout, stderr: '' };
        done.push(argv.join(' '));
        return { code: argv.includes('refuses') ? 2 : 0, stdout: '', stderr: '' };
      },
    },
    write: async (path, text) => {
      done.push(`${path} ${text.trim()}`);
      if (path.includes('/locked/')) throw Object.assign(new Error('no'), { code: 'EACCES' });
      if (path.includes('/ipv6/') && path.includes('/eno3/')) throw Object.assign(new Error('no'), { code: 'ENOENT' });
    },
    clock: {
      ticks: () => at,
      sleep: async (ms) => {
        at += ms;
      },
    },
  };
  return { world, done, now: () => at, remove };
}

test('only cards that nobody uses are brought up, silent first, and their carriers are waited for', async () => {
  const { world, done, now, remove } = play({ eno2: 900, eno3: 300 });
  try {
    assert.deepEqual(await raiseLinks(world, 5000, '52:54:00:00:00:04'), ['eno2', 'eno3']);
    assert.ok(now() >= 900 && now() <= 1100, `${now()} ms`);
    const of = (name: string) => done.filter((each) => each.includes(name));
    assert.deepEqual(of('eno2'), [
      '/proc/sys/net/ipv4/conf/eno2/arp_ignore 8',
      '/proc/sys/net/ipv6/conf/eno2/disable_ipv6 1',
      'ip link set dev eno2 up',
    ]);
    assert.equal(of('eno3').at(-1), 'ip link set dev eno3 up', 'a kernel without IPv6');
    assert.deepEqual(of('locked'), ['/proc/sys/net/ipv4/conf/locked/arp_ignore 8'], 'never without its switches');
    const touched = new Set(done.map((each) => /(eno\d|refuses|locked)/.exec(each)?.[1]));
    assert.deepEqual([...touched].sort(), ['eno2', 'eno3', 'locked', 'refuses'], done.join('\n'));
  } finally {
    remove();
  }
});

test('a card without a cable costs the wait and no more; without ip, or time to wait, nothing is done', async () => {
  const slow = play({ eno2: 100 });
  const blind = play({}, { stdout: '' });
  const odd = play({}, { code: 0, stdout: '{}' });
  const never = play({});
  try {
    assert.deepEqual(await raiseLinks(slow.world, 2000, '52:54:00:00:00:04'), ['eno2', 'eno3']);
    assert.ok(slow.now() >= 2000 && slow.now() <= 2100, `${slow.now()} ms`);
    for (const { world } of [blind, odd]) assert.deepEqual(await raiseLinks(world, 2000, undefined), []);
    assert.deepEqual(await raiseLinks(never.world, 0, undefined), []);
    assert.deepEqual([blind.done, odd.done, never.done], [[], [], []]);
  } finally {
    for (const { remove } of [slow, blind, odd, never]) remove();
  }
});

test('what ip says is read or not believed', () => {
  assert.deepEqual(usedLinks('[null,{"ifname":3},{"ifname":"a"},{"ifname":"b","addr_info":[{}]}]'), new Set(['b']));
  for (const text of ['', '{}', 'null', '"x"']) assert.equal(usedLinks(text), undefined);
});
