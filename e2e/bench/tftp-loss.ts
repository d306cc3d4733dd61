// `npm run bench -- tftp-loss [--rounds N] [--json]`: four machines that fetch 1 MB by TFTP over a link with 10 ms of round trip that loses one datagram
// of a hundred in each direction, requests and acknowledgements too; and over the same link without losses. Rounds differ in what is lost, the servers
// of a round begin with the same losses.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, start } from '../lab/child.ts';
import { needPrograms, needTap } from '../lab/need.ts';
import { median } from './figures.ts';
import type { TftpLoad, TftpResult } from './load-tftp.ts';
import { bench, benchOptions, clientAddress, makeRig, type Rig, serverAddress, turns } from './rig.ts';
import { noise } from './serve.ts';
import { bringAtftpd, serveTftp, type TftpServer, tftpServers, tftpSettings } from './tftp-servers.ts';

const { rounds, json, sizes } = benchOptions({ machines: 4, kilobytes: 1024 });
const roundTripMs = 10;
const permille = 10;
let setLoss: (permille: number, seed: number) => Promise<void>;

async function joinByLossyLink({ server, client, inside }: Pick<Rig, 'server' | 'client' | 'inside'>) {
  let heard = (_line: string): void => {};
  const ready = new Promise<string>((resolve) => {
    heard = resolve;
  });
  const argv = [process.execPath, join(import.meta.dirname, 'lossy-link.ts'), 'eth0', 'far0', String(roundTripMs / 2)];
  const link = start(inside(server, argv), {
    deadlineMs: 3_600_000,
    stdin: 'pipe',
    onLine: (line) => heard(line),
  });
  if ((await Promise.race([ready, link.exited.then(() => 'ended')])) !== 'ready') throw new Error('the link ended');
  setLoss = async (lost, seed) => {
    const set = new Promise<string>((resolve) => {
      heard = resolve;
    });
    link.write(`${lost} ${seed}\n`);
    await set;
  };
  await run(['ip', '-n', server, 'link', 'set', 'far0', 'netns', client]);
  await run(['ip', '-n', client, 'link', 'set', 'far0', 'name', 'eth0']);
  for (const [namespace, address, peer] of [
    [server, serverAddress, clientAddress],
    [client, clientAddress, serverAddress],
  ] as const) {
    await run(['ip', '-n', namespace, 'addr', 'add', `${address}/16`, 'dev', 'eth0']);
    await run(['ip', '-n', namespace, 'link', 'set', 'eth0', 'mtu', '1500', 'up']);
    await run(['ip', '-n', namespace, 'route', 'replace', peer, 'dev', 'eth0']);
  }
  return async () => void (await link.stop(1000));
}

await bench('tftp-loss', { json, needs: [needTap, needPrograms(['in.tftpd', 'dnsmasq'])] }, async (say) => {
  const rig = await makeRig('tftp-loss', joinByLossyLink);
  try {
    writeFileSync(join(rig.folder, 'file'), noise(sizes.kilobytes! * 1024));
    const atftpd = await bringAtftpd(rig.folder);
    if (atftpd === undefined)
      say('bench tftp-loss: atftpd is left out: it is not installed, and apt-get can not fetch it');
    const fetchAll = async (who: TftpServer, lost: number, seed: number, window = 1): Promise<number> => {
      await setLoss(0, 1);
      const served = await serveTftp(rig, who, rig.folder, { atftpd });
      try {
        const load: TftpLoad = {
          server: { address: serverAddress, port: 69 },
          from: clientAddress,
          name: 'file',
          file: join(rig.folder, 'file'),
          clients: sizes.machines!,
          blockSize: 1428,
          window,
          timeoutMs: 5000,
        };
        const go = await rig.prepareLoad<TftpResult>('load-tftp.ts', [JSON.stringify(load)]);
        await setLoss(lost, seed);
        const { finished, failures, repeated, duplicates } = await go();
        if (failures.length > 0) throw new Error(`${who}: ${failures[0]}`);
        const seconds = median(finished);
        say(
          `${`${who} window ${window}`.padEnd(20)} ${lost / 10} % lost: median ${seconds.toFixed(2)} s, last ${Math.max(...finished).toFixed(2)} s, ${repeated} repeated by machines, ${duplicates} blocks twice`,
        );
        return seconds;
      } finally {
        await served.stop();
      }
    };
    const sides = tftpServers.filter((who) => who !== 'atftpd' || atftpd !== undefined);
    const lossy = new Map<TftpServer, number[]>(sides.map((who) => [who, []]));
    const clean: number[] = [];
    for (const [round, turn] of turns(rounds, sides).entries()) {
      for (const who of turn) lossy.get(who)!.push(await fetchAll(who, permille, 1000 + round));
      clean.push(await fetchAll('nixie', 0, 1));
    }
    say(
      `\n${sizes.machines} × ${sizes.kilobytes} KiB, blksize 1428, window 1, round trip ${roundTripMs} ms, ${permille / 10} % of all datagrams lost each way, machines repeat after 5 s; ${tftpSettings}; ${rounds} rounds`,
    );
    const peers = sides.filter((who) => who !== 'nixie');
    const best = peers.reduce((a, b) => (median(lossy.get(a)!) <= median(lossy.get(b)!) ? a : b));
    const figure = 'median of 4, s';
    return [
      ...peers.map((peer) => ({
        figure,
        values: lossy.get('nixie')!,
        peer: peer === best ? `${peer} (best)` : peer,
        peerValues: lossy.get(peer)!,
        goal: 0.6,
      })),
      { figure, values: lossy.get('nixie')!, peer: 'own, nothing lost', peerValues: clean, goal: 1.25 },
    ];
  } finally {
    await rig.close();
  }
});
