// A card that was down tells its carrier once the agent has brought it up, and stays silent on its network: by a real kernel.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { run } from '../lab/child.ts';
import { needNetns, needPrograms, skipUnless } from '../lab/need.ts';
import { until } from '../lab/patience.ts';

const skip = skipUnless(needNetns, needPrograms(['ip', 'bash', 'sysctl']));
const program = fileURLToPath(new URL('../lab/agent/raise.ts', import.meta.url));

test('idle cards are brought up without a word on their network, others are left alone', {
  skip,
  timeout: 300_000,
}, async () => {
  const id = `nx${randomBytes(3).toString('hex')}`;
  const [machine, lan] = [`${id}-m`, `${id}-l`];
  const ip = async (...words: string[]) => (await run(['ip', ...words])).stdout;
  const inside = async (name: string, argv: string[], accept = false) =>
    await run(['ip', 'netns', 'exec', name, ...argv], { accept });
  try {
    for (const name of [machine, lan]) await ip('netns', 'add', name);
    await ip('-n', lan, 'link', 'add', 'name', 'br0', 'type', 'bridge', 'stp_state', '0', 'forward_delay', '0');
    for (let i = 0; i < 4; i++) {
      await ip('-n', lan, 'link', 'add', 'name', `p${i}`, 'type', 'veth', 'peer', 'name', `e${i}`, 'netns', machine);
      await ip('-n', lan, 'link', 'set', `p${i}`, 'master', 'br0', 'up');
    }
    await ip('-n', lan, 'link', 'set', 'p3', 'down');
    await ip('-n', lan, 'address', 'add', '10.9.0.1/24', 'dev', 'br0');
    await ip('-n', lan, 'link', 'set', 'br0', 'up');
    // e0 is in use, e1 is idle, e2 has an address and is down, e3 is idle and has no cable.
    await ip('-n', machine, 'address', 'add', '10.9.0.2/24', 'dev', 'e0');
    await ip('-n', machine, 'link', 'set', 'e0', 'up');
    await ip('-n', machine, 'address', 'add', '10.8.0.2/24', 'dev', 'e2');
    await inside(machine, ['sysctl', '-qw', 'net.ipv4.conf.all.rp_filter=0']);

    assert.deepEqual(JSON.parse((await inside(machine, [process.execPath, program])).stdout), ['e1', 'e3']);
    type Link = { ifname: string; flags: string[]; addr_info: { local: string }[] };
    let links: Link[] = [];
    // The other end of a cable is told of it a moment later.
    await until('the carrier of e1', async () => {
      links = JSON.parse(await ip('-n', machine, '-j', 'address')) as Link[];
      return links.some(({ ifname, flags }) => ifname === 'e1' && flags.includes('LOWER_UP'));
    });
    const of = (name: string) => {
      const { flags, addr_info } = links.find(({ ifname }) => ifname === name)!;
      return [flags.includes('UP'), flags.includes('LOWER_UP'), addr_info.filter(({ local }) => !/^10\./.test(local))];
    };
    assert.deepEqual(
      [of('e1'), of('e2'), of('e3')],
      [
        [true, true, []],
        [false, false, []],
        [true, false, []],
      ],
    );

    // Only e1 is reached by the LAN now: it must not speak for the address of e0.
    await ip('-n', lan, 'link', 'set', 'p0', 'nomaster');
    /** What ARP tells the LAN of it, once it is answered or was asked in vain. */
    const neighbour = async () => {
      await inside(lan, ['bash', '-c', 'echo > /dev/udp/10.9.0.2/9'], true);
      let told = '';
      await until('the end of ARP', async () => {
        told = await ip('-n', lan, 'neigh', 'show', '10.9.0.2');
        return /lladdr|FAILED/.test(told);
      });
      return told;
    };
    assert.match(await neighbour(), /^10\.9\.0\.2 .*FAILED/);
    // It would have, without that switch.
    await inside(machine, ['sysctl', '-qw', 'net.ipv4.conf.e1.arp_ignore=0']);
    await ip('-n', lan, 'neigh', 'flush', 'all');
    assert.match(await neighbour(), /lladdr/);
  } finally {
    for (const name of [machine, lan]) await run(['ip', 'netns', 'del', name], { accept: true });
  }
});
