// `npm run bench -- tftp-storm [--rounds N] [--clients N] [--kilobytes N] [--json]`: machines that all fetch a file at once by TFTP, blocks of 1428 bytes,
// in lock-step and, where a server can do it, by windows of four blocks (UEFI asks for that).
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { needPrograms } from '../lab/need.ts';
import type { Measured } from './figures.ts';
import type { TftpLoad, TftpResult } from './load-tftp.ts';
import { bench, benchOptions, clientAddress, makeRig, serverAddress, turns } from './rig.ts';
import { noise } from './serve.ts';
import { bringAtftpd, serveTftp, type TftpServer, tftpServers, tftpSettings } from './tftp-servers.ts';

const { rounds, json, sizes } = benchOptions({ clients: 256, kilobytes: 1024 });
const clients = sizes.clients!;
const bytes = sizes.kilobytes! * 1024;

interface Round {
  readonly lastSeconds: number;
  readonly cpuSecondsPerGb: number;
}

await bench('tftp-storm', { json, needs: [needPrograms(['in.tftpd', 'dnsmasq'])] }, async (say) => {
  const rig = await makeRig('tftp-storm');
  try {
    writeFileSync(join(rig.folder, 'file'), noise(bytes));
    const atftpd = await bringAtftpd(rig.folder);
    if (atftpd === undefined)
      say('bench tftp-storm: atftpd is left out: it is not installed, and apt-get can not fetch it');
    const storm = async (who: TftpServer, window: number): Promise<Round> => {
      const served = await serveTftp(rig, who, rig.folder, { atftpd });
      try {
        const go = await rig.prepareLoad<TftpResult>('load-tftp.ts', [
          JSON.stringify({
            server: { address: serverAddress, port: 69 },
            from: clientAddress,
            name: 'file',
            file: join(rig.folder, 'file'),
            clients,
            blockSize: 1428,
            window,
            timeoutMs: 5000,
          } satisfies TftpLoad),
        ]);
        const before = served.cpuSeconds();
        const { finished, failures, repeated, duplicates } = await go();
        const cpu = served.cpuSeconds() - before;
        if (failures.length > 0) throw new Error(`${who}: ${failures.length} failures, the first: ${failures[0]}`);
        const round = { lastSeconds: Math.max(...finished), cpuSecondsPerGb: (cpu / (clients * bytes)) * 1e9 };
        say(
          `${`${who} window ${window}`.padEnd(20)} last ${round.lastSeconds.toFixed(2)} s, ${round.cpuSecondsPerGb.toFixed(1)} s of CPU per GB, ${repeated} repeated by machines, ${duplicates} blocks twice`,
        );
        return round;
      } finally {
        await served.stop();
      }
    };
    const sides = tftpServers.flatMap((who) => {
      if (who === 'atftpd' && atftpd === undefined) return [];
      return (who === 'nixie' || who === 'atftpd' ? [1, 4] : [1]).map((window) => ({ who, window }));
    });
    const results = new Map<string, Round[]>(sides.map(({ who, window }) => [`${who} ${window}`, []]));
    for (const turn of turns(rounds, sides))
      for (const { who, window } of turn) results.get(`${who} ${window}`)!.push(await storm(who, window));
    say(
      `\n${clients} × ${sizes.kilobytes} KiB, blksize 1428; ${tftpSettings}; ${rounds} rounds, forth and back; no failure`,
    );
    const compare = (window: number, peer: TftpServer, goal: number): Measured[] => {
      const [own, theirs] = [results.get(`nixie ${window}`)!, results.get(`${peer} ${window}`)];
      if (theirs === undefined) return [];
      return [
        {
          figure: `window ${window}, last of ${clients}, s`,
          values: own.map((round) => round.lastSeconds),
          peer,
          peerValues: theirs.map((round) => round.lastSeconds),
          goal,
        },
        {
          figure: `window ${window}, CPU s/GB`,
          values: own.map((round) => round.cpuSecondsPerGb),
          peer,
          peerValues: theirs.map((round) => round.cpuSecondsPerGb),
          goal,
        },
      ];
    };
    return [
      ...compare(1, 'tftpd-hpa', 1),
      ...compare(1, 'atftpd', 1),
      ...compare(1, 'dnsmasq', 2),
      ...compare(4, 'atftpd', 1),
    ];
  } finally {
    await rig.close();
  }
});
