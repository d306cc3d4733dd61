// `npm run bench -- leases [--rounds N] [--leases N] [--many N] [--json]`: fresh leases by full DHCP (DISCOVER, OFFER, REQUEST, ACK), sixteen machines at a time, kept
// so that they outlive SIGKILL, on the disk of this computer. Afterwards each server is killed and started anew, and machines must get their addresses
// again. Nixie's addresses are assigned and written, with fsync, before it answers anything, so that work is counted with its time here: dnsmasq and kea
// write a lease when they give it (kea without fsync). Two numbers of machines, because no one number is fair to all: 2,000, a hall that is switched on, are
// over before a program warms up, and dnsmasq takes the longer for each the more it has given.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { needPrograms } from '../lab/need.ts';
import type { DhcpLoad, DhcpResult } from './load-dhcp.ts';
import { bench, benchOptions, makeRig, type Served, serveNixie, serverAddress, turns } from './rig.ts';
import type { BootSettings } from './serve.ts';

const { rounds, json, sizes } = benchOptions({ leases: 2000, many: 8000 });
const counts = [...new Set([sizes.leases!, sizes.many!])];
const macsOf = (count: number): string[] =>
  Array.from(
    { length: count },
    (_, i) => `52:54:00:${[i >> 16, i >> 8, i].map((part) => (part & 255).toString(16).padStart(2, '0')).join(':')}`,
  );
const servers = ['nixie', 'dnsmasq', 'kea'] as const;
type Server = (typeof servers)[number];
const [from, to] = ['10.98.16.0', '10.98.127.255'];

await bench('leases', { json, needs: [needPrograms(['dnsmasq', 'kea-dhcp4'])] }, async (say) => {
  const rig = await makeRig('leases');
  try {
    const serve = async (who: Server, folder: string, macs: readonly string[]): Promise<Served> => {
      if (who === 'nixie') {
        const settings: BootSettings = {
          device: 'eth0',
          address: serverAddress,
          macs,
          leases: join(folder, 'leases'),
          files: {},
        };
        writeFileSync(join(folder, 'settings'), JSON.stringify(settings));
        return serveNixie(rig, 'boot', `@${join(folder, 'settings')}`);
      }
      if (who === 'dnsmasq')
        return rig.serve([
          ...['dnsmasq', '--keep-in-foreground', '--conf-file=/dev/null', '--port=0', '--user=root', '--pid-file='],
          ...[`--dhcp-range=${from},${to},255.255.0.0,12h`, '--dhcp-lease-max=30000', '--no-ping', '--bind-interfaces'],
          ...['--interface=eth0', '--dhcp-authoritative', '--quiet-dhcp', '--log-facility=/dev/null'],
          `--dhcp-leasefile=${join(folder, 'leases')}`,
        ]);
      const config = {
        Dhcp4: {
          'interfaces-config': { interfaces: ['eth0'], 'dhcp-socket-type': 'raw' },
          'lease-database': { type: 'memfile', persist: true, name: join(folder, 'leases.csv'), 'lfc-interval': 0 },
          'valid-lifetime': 43_200,
          subnet4: [{ subnet: '10.98.0.0/16', pools: [{ pool: `${from} - ${to}` }] }],
          loggers: [{ name: 'kea-dhcp4', output_options: [{ output: '/dev/null' }], severity: 'ERROR' }],
        },
      };
      writeFileSync(join(folder, 'kea.json'), JSON.stringify(config));
      const env = ['env', `KEA_PIDFILE_DIR=${folder}`, `KEA_LOCKFILE_DIR=${folder}`];
      return rig.serve([...env, 'kea-dhcp4', '-c', join(folder, 'kea.json')]);
    };
    const ask = async (asking: readonly string[], window: number): Promise<DhcpResult> => {
      const load: DhcpLoad = {
        kind: 'lease',
        macs: asking,
        transactions: asking.length,
        window,
        timeoutMs: 1000,
      };
      writeFileSync(join(rig.folder, 'load'), JSON.stringify(load));
      return rig.load<DhcpResult>('load-dhcp.ts', [`@${join(rig.folder, 'load')}`]);
    };
    const results = new Map<string, number[]>();
    const round = async (who: Server, count: number): Promise<void> => {
      const macs = macsOf(count);
      const [first, rest] = [macs.slice(0, 1), macs.slice(1)];
      const folder = mkdtempSync(join(tmpdir(), 'nixie-bench-leases-'));
      let served = await serve(who, folder, macs);
      try {
        await ask(first, 1); // it is there
        const assigned = who === 'nixie' ? Number(JSON.parse(await served.ask('?')).assignedMs) / 1000 : 0;
        const before = served.cpuSeconds();
        const { seconds, p99Ms, repeated, addresses } = await ask(rest, 16);
        const cpuUs = ((served.cpuSeconds() - before) / rest.length) * 1e6;
        const perSecond = rest.length / (seconds + assigned);
        await served.stop('SIGKILL');
        served = await serve(who, folder, macs);
        const some = rest.filter((_, i) => i % 20 === 0);
        await ask(first, 1);
        const kept = await ask(some, 1);
        const changed = some.filter((mac) => kept.addresses[mac] !== addresses[mac]);
        if (changed.length > 0)
          throw new Error(`${who}: ${changed.length} of ${some.length} machines got another address after SIGKILL`);
        if (new Set(Object.values(addresses)).size !== rest.length)
          throw new Error(`${who}: an address was given twice`);
        const key = `${who} ${count}`;
        results.set(key, [...(results.get(key) ?? []), perSecond]);
        say(
          `${`${who} ${count}`.padEnd(14)} ${Math.round(perSecond)} leases a second, ${cpuUs.toFixed(0)} µs of CPU each, p99 ${p99Ms.toFixed(1)} ms, ${repeated} repeated${who === 'nixie' ? `, ${(assigned * 1000).toFixed(1)} ms to assign and write them all` : ''}`,
        );
      } finally {
        await served.stop();
        rmSync(folder, { recursive: true, force: true });
      }
    };
    for (const count of counts)
      for (const turn of turns(rounds, servers)) for (const who of turn) await round(who, count);
    say(
      `\n${counts.join(' and ')} fresh leases, window 16, by broadcast; every server killed by SIGKILL and asked again; dnsmasq: no-ping, authoritative, lease file; kea: memfile persisted, raw socket, no clean-up; Nixie: the time to assign all and write them is in its figure; ${rounds} rounds`,
    );
    return counts.flatMap((count) =>
      (
        [
          ['dnsmasq', 10],
          ['kea', 0.8],
        ] as const
      ).map(([peer, goal]) => ({
        figure: `${count} leases, a second`,
        values: results.get(`nixie ${count}`)!,
        peer,
        peerValues: results.get(`${peer} ${count}`)!,
        goal,
        want: 'at least' as const,
      })),
    );
  } finally {
    await rig.close();
  }
});
