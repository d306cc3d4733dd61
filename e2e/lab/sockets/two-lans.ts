// A server with two LANs and a station in each: three namespaces. The address that Nixie is to use on the first LAN is not the first of its
// interface, and the second LAN has the smallest MTU that IPv6 allows, as tunnels have.
import { randomBytes } from 'node:crypto';
import { run } from '../child.ts';

export const lan1 = { name: 'lan1', server: '10.91.1.1', station: '10.91.1.50', mtu: 1500 } as const;
export const lan2 = { name: 'lan2', server: '10.92.1.1', station: '10.92.1.50', mtu: 1280 } as const;

export interface TwoLans {
  readonly server: string;
  readonly station1: string;
  readonly station2: string;
  inside(namespace: string, argv: readonly string[]): string[];
  /** A default route of the server, through the second LAN. */
  setDefaultRoute(on: boolean): Promise<void>;
  close(): Promise<void>;
}

export async function makeTwoLans(): Promise<TwoLans> {
  const id = `nxsock-${process.pid}-${randomBytes(3).toString('hex')}`;
  const server = `${id}-srv`;
  const stations = [`${id}-one`, `${id}-two`] as const;
  const made: string[] = [];
  const close = async (): Promise<void> => {
    for (const name of made.splice(0)) await run(['ip', 'netns', 'del', name], { accept: true });
  };
  const batch = (namespace: string, lines: readonly string[]) =>
    run(['ip', '-n', namespace, '-batch', '-'], { input: `${lines.join('\n')}\n` });
  try {
    for (const name of [server, ...stations]) {
      await run(['ip', 'netns', 'add', name]);
      made.push(name);
      await batch(name, ['link set lo up']);
    }
    for (const [index, lan] of [lan1, lan2].entries()) {
      const station = stations[index]!;
      await batch(server, [
        `link add name ${lan.name} mtu ${lan.mtu} type veth peer name eth0 mtu ${lan.mtu} netns ${station}`,
        ...(index === 0 ? [`addr add 10.90.1.1/24 brd + dev ${lan.name}`] : []),
        `addr add ${lan.server}/24 brd + dev ${lan.name}`,
        `link set ${lan.name} up`,
      ]);
      // A station without an address yet sends its broadcasts somewhere: on its only link.
      await batch(station, [
        `addr add ${lan.station}/24 brd + dev eth0`,
        'link set eth0 up',
        'route add default dev eth0',
      ]);
    }
  } catch (error) {
    await close();
    throw error;
  }
  return {
    server,
    station1: stations[0],
    station2: stations[1],
    inside: (namespace, argv) => ['setpriv', '--pdeathsig', 'TERM', 'ip', 'netns', 'exec', namespace, ...argv],
    async setDefaultRoute(on) {
      await run(['ip', '-n', server, 'route', on ? 'add' : 'del', 'default', 'via', lan2.station, 'dev', lan2.name]);
    },
    close,
  };
}
