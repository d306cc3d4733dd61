// `npm run bench -- dhcp [--rounds N] [--transactions N] [--json]`: DISCOVERs of 5,000 PXE firmwares answered as ProxyDHCP, one and 32 at a time; and how
// late answers are, at a pace of 500 a second, while the same program serves a TFTP storm, a storm of agents that connect anew, or nothing.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeTls } from '../../controller/src/store/tls.ts';
import { needPrograms } from '../lab/need.ts';
import { startAgents } from './agent-crowd.ts';
import type { Measured } from './figures.ts';
import type { DhcpLoad, DhcpResult } from './load-dhcp.ts';
import type { TftpLoad } from './load-tftp.ts';
import { bench, benchOptions, clientAddress, makeRig, type Served, serveNixie, serverAddress, turns } from './rig.ts';
import { type BootSettings, noise } from './serve.ts';

const { rounds, json, sizes } = benchOptions({ transactions: 60_000, macs: 5000 });
const macs = Array.from(
  { length: sizes.macs! },
  (_, i) => `52:54:00:${[i >> 16, i >> 8, i].map((part) => (part & 255).toString(16).padStart(2, '0')).join(':')}`,
);
const calm = { transactions: 2000, perSecond: 500, window: 8 };

await bench('dhcp', { json, needs: [needPrograms(['dnsmasq'])] }, async (say) => {
  const rig = await makeRig('dhcp');
  try {
    const file = join(rig.folder, 'file');
    writeFileSync(file, noise(1 << 20));
    const tls = await makeTls();
    const agents = { address: serverAddress, tls, mostSessions: 4096 };
    const settings: BootSettings = { device: 'eth0', address: serverAddress, macs, files: { file }, agents };
    writeFileSync(join(rig.folder, 'settings'), JSON.stringify(settings));
    const serve = (who: 'nixie' | 'dnsmasq'): Promise<Served> =>
      who === 'nixie'
        ? serveNixie(rig, 'boot', `@${join(rig.folder, 'settings')}`)
        : rig.serve([
            ...['dnsmasq', '--keep-in-foreground', '--conf-file=/dev/null', '--port=0', '--user=root', '--pid-file='],
            ...['--dhcp-range=10.98.0.0,proxy,255.255.0.0', '--pxe-service=x86-64_EFI,nixie,snponly.efi'],
            ...['--pxe-service=7,nixie,snponly.efi', '--bind-interfaces', '--interface=eth0'],
            ...['--log-facility=/dev/null', '--quiet-dhcp', '--dhcp-leasefile=/dev/null'],
          ]);
    const ask = async (more: Pick<DhcpLoad, 'transactions' | 'window' | 'perSecond'>): Promise<DhcpResult> => {
      const load: DhcpLoad = { kind: 'proxy', macs, timeoutMs: 1000, ...more };
      writeFileSync(join(rig.folder, 'load'), JSON.stringify(load));
      return rig.load<DhcpResult>('load-dhcp.ts', [`@${join(rig.folder, 'load')}`]);
    };
    const values = new Map<string, number[]>();
    const keep = (key: string, value: number): void => void values.set(key, [...(values.get(key) ?? []), value]);

    for (const turn of turns(rounds, ['nixie', 'dnsmasq'] as const)) {
      for (const who of turn) {
        const served = await serve(who);
        try {
          await ask({ transactions: 500, window: 1 }); // it answers, and has seen the like
          for (const window of [1, 32]) {
            const before = served.cpuSeconds();
            const { seconds, p50Ms, p99Ms, repeated } = await ask({ transactions: sizes.transactions!, window });
            const cpuUs = ((served.cpuSeconds() - before) / sizes.transactions!) * 1e6;
            keep(`${who} ${window} cpu`, cpuUs);
            keep(`${who} ${window} tps`, sizes.transactions! / seconds);
            say(
              `${`${who} window ${window}`.padEnd(18)} ${cpuUs.toFixed(1)} µs of CPU per answer, ${Math.round(sizes.transactions! / seconds)} a second, p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms, ${repeated} repeated`,
            );
          }
          if (who !== 'nixie') continue;
          const still = await ask(calm);
          keep('idle p99', still.p99Ms);
          const tftp: TftpLoad = {
            server: { address: serverAddress, port: 69 },
            from: clientAddress,
            name: 'file',
            file,
            clients: 64,
            blockSize: 1428,
            window: 1,
            timeoutMs: 5000,
            forMs: 5000,
          };
          const go = await rig.prepareLoad('load-tftp.ts', [JSON.stringify(tftp)]);
          const storming = go();
          await sleep(300);
          keep('tftp p99', (await ask(calm)).p99Ms);
          await storming;
          const crowd = await startAgents(rig, tls);
          try {
            await crowd.say('connect 300');
            const again = crowd.say('again 300');
            keep('tls p99', (await ask(calm)).p99Ms);
            await again;
          } finally {
            await crowd.stop();
          }
          say(
            `nixie, p99 at 500 a second: alone ${still.p99Ms.toFixed(2)} ms, under a TFTP storm ${values.get('tftp p99')!.at(-1)!.toFixed(2)} ms, under agents that connect ${values.get('tls p99')!.at(-1)!.toFixed(2)} ms`,
          );
        } finally {
          await served.stop();
        }
      }
    }
    say(
      `\n${macs.length} MACs, broadcast DISCOVER of UEFI x64, ProxyDHCP; dnsmasq: proxy range, pxe-service, quiet-dhcp; Nixie: every answer goes on the trail; TFTP storm: 64 × 1 MiB, over and over; agents: 16 handshakes at once; all on ${rounds} rounds`,
    );
    return [
      ...[1, 32].map(
        (window): Measured => ({
          figure: `window ${window}, CPU µs/answer`,
          values: values.get(`nixie ${window} cpu`)!,
          peer: 'dnsmasq',
          peerValues: values.get(`dnsmasq ${window} cpu`)!,
          goal: 1.5,
        }),
      ),
      ...[1, 32].map(
        (window): Measured => ({
          figure: `window ${window}, answers/s`,
          values: values.get(`nixie ${window} tps`)!,
          peer: 'dnsmasq',
          peerValues: values.get(`dnsmasq ${window} tps`)!,
          goal: 0.6,
          want: 'at least',
        }),
      ),
      ...['idle', 'tftp', 'tls'].map(
        (under): Measured => ({
          figure: `p99 ${under === 'idle' ? 'alone' : under === 'tftp' ? 'under a TFTP storm' : 'under a TLS storm'}, ms`,
          values: values.get(`${under} p99`)!,
          peer: 'limit',
          peerValues: [10],
          goal: 1,
        }),
      ),
    ];
  } finally {
    await rig.close();
  }
});
