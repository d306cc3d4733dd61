// A controller and a LAN that can't route to each other. Each relay stands between them with one card on each side; machines are namespaces
// on the LAN's bridge.
import { randomBytes } from 'node:crypto';
import { run } from '../child.ts';
import { patienceMs } from '../patience.ts';

export const uplink = { controller: '10.96.0.1', prefix: '10.96.0' } as const;
/** Relays have .1 and on, machines what they are given. */
export const farLan = { prefix: '10.97.0', length: 24 } as const;

export interface Subnets {
  /** Namespace of the controller; its card is `eth0`. */
  readonly controller: string;
  /** A namespace with `up0` towards the controller and `lan0` on the LAN. */
  addRelay(): Promise<{ readonly namespace: string; readonly address: string }>;
  /** A namespace with `eth0` on the LAN. */
  addMachine(mac: string, address: string): Promise<string>;
  inside(namespace: string, argv: readonly string[]): string[];
  /** Nothing crosses between relays and controller; nobody is told. */
  cut(is: boolean): Promise<void>;
  close(): Promise<void>;
}

export async function makeSubnets(): Promise<Subnets> {
  const id = `nxrly-${process.pid}-${randomBytes(3).toString('hex')}`;
  const [controller, bridge] = [`${id}-ctl`, `${id}-lan`];
  const made: string[] = [];
  let relays = 0;
  let machines = 0;
  const batch = (namespace: string, lines: readonly string[]) =>
    run(['ip', '-n', namespace, '-batch', '-'], { input: `${lines.join('\n')}\n` });
  const add = async (name: string) => {
    await run(['ip', 'netns', 'add', name]);
    made.push(name);
    await batch(name, ['link set lo up']);
    return name;
  };
  const close = async (): Promise<void> => {
    for (const name of made.splice(0)) await run(['ip', 'netns', 'del', name], { accept: true });
  };
  const inside = (namespace: string, argv: readonly string[]) => [
    'setpriv',
    '--pdeathsig',
    'TERM',
    'ip',
    'netns',
    'exec',
    namespace,
    ...argv,
  ];
  /** A card in a namespace, on the bridge `br0` of another. */
  const plug = async (from: string, port: string, to: string, card: string, address: string, mac?: string) => {
    const at = mac === undefined ? '' : ` address ${mac}`;
    await batch(from, [
      `link add name ${port} type veth peer name ${card}${at} netns ${to}`,
      `link set ${port} master br0 up`,
    ]);
    await batch(to, [`addr add ${address}/24 brd + dev ${card}`, `link set ${card} up`]);
    // The other end is told of it a moment later, and without a carrier a card doesn't count.
    for (const end = performance.now() + patienceMs; ; await new Promise((resolve) => setTimeout(resolve, 20))) {
      if ((await run(['ip', '-n', to, 'link', 'show', card])).stdout.includes('LOWER_UP')) break;
      if (performance.now() > end) throw new Error(`${card} in ${to} has no carrier`);
    }
  };
  try {
    await add(controller);
    await add(bridge);
    for (const name of [controller, bridge])
      await batch(name, [
        'link add name br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0',
        'link set br0 up',
      ]);
    await batch(controller, [`addr add ${uplink.controller}/24 brd + dev br0`]);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    controller,
    inside,
    close,
    async addRelay() {
      const number = ++relays;
      const namespace = await add(`${id}-r${number}`);
      await plug(controller, `up${number}`, namespace, 'up0', `${uplink.prefix}.${10 + number}`);
      await plug(bridge, `r${number}`, namespace, 'lan0', `${farLan.prefix}.${number}`);
      return { namespace, address: `${farLan.prefix}.${number}` };
    },
    async addMachine(mac, address) {
      const number = ++machines;
      const namespace = await add(`${id}-m${number}`);
      await plug(bridge, `m${number}`, namespace, 'eth0', address, mac);
      // Broadcasts of a machine that has no address yet must leave somewhere.
      await batch(namespace, ['route add default dev eth0']);
      return namespace;
    },
    async cut(is) {
      const rule = is
        ? 'add table inet cut { chain in { type filter hook input priority 0; drop; }; chain out { type filter hook output priority 0; oifname "br0" drop; }; }'
        : 'delete table inet cut';
      await run(inside(controller, ['nft', rule]));
    },
  };
}
