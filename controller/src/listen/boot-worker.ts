// A boot thread: DHCP or TFTP, on the descriptors it is handed, by a copy of the scene. See boot-server.ts.
import type dgram from 'node:dgram';
import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { answerDhcp } from '../answer/dhcp.ts';
import type { Scene } from '../answer/scene.ts';
import { macFromBytes } from '../machine/mac.ts';
import type { AddressUse } from './address-users.ts';
import { type BootThreadData, descriptorsOf, type FromThread, type OpenDoor, type ToThread } from './boot-messages.ts';
import { createDhcpDoor, type DhcpCounters } from './dhcp.ts';
import { FloodWatch } from './flood-watch.ts';
import { type Seen, SeenQueue } from './seen.ts';
import { serveTftp, type TftpCounters, type TftpDoor } from './tftp.ts';
import {
  adoptUdp,
  datagramsLost,
  openUdpDescriptor,
  receiveWaiting,
  sendConnected,
  sendTo,
  type UdpSender,
} from './udp.ts';
import { warmUp } from './warm-up.ts';

const data = workerData as BootThreadData;
const port = parentPort!;
const nowMs = (): number => performance.now();
const say = (message: FromThread): void => port.postMessage(message);
let scene: Scene = data.scene;
let loaderFiles = data.loaderFiles;

const queue = new SeenQueue();
const batchEveryMs = 50;
const floodLookEveryMs = 5000;
const soonMs = 2;
let uses: AddressUse[] = [];
const usesAtOnce = 1000;
let flushingSoon: NodeJS.Timeout | undefined;
const flush = (): void => {
  clearTimeout(flushingSoon);
  flushingSoon = undefined;
  const batch = queue.take();
  if (batch === undefined && uses.length === 0) return;
  say({ kind: 'seen', uses, ...(batch ?? { seen: [], dropped: 0 }) });
  uses = [];
};
const onUse = (use: AddressUse): void => {
  uses.push(use);
  if (uses.length >= usesAtOnce) flush();
};
const flushing = setInterval(flush, batchEveryMs);
const withMachine = (seen: Seen): Seen => {
  const machine = seen.mac === undefined ? undefined : scene.machineOfMac[seen.mac];
  return machine === undefined ? seen : { ...seen, machine };
};
const onSeen = (seen: Seen): void => {
  const { machine } = seen;
  queue.push(machine === undefined ? withMachine(seen) : seen, nowMs());
  // Its next step may be to fetch its script from that address, some milliseconds later. Those that are heard together are told together.
  if (machine !== undefined && seen.asked === 'REQUEST' && seen.address !== undefined)
    flushingSoon ??= setTimeout(flush, soonMs);
};
const dhcp = createDhcpDoor({ scene: () => scene, answer: answerDhcp, nowMs, onSeen, onUse });

/** As long as a datagram can be. */
const waiting = new Uint8Array(65_536);
/** Then others have their turn: TFTP, the rest of the program. */
const waitingAtOnce = 64;

async function openDhcp(door: OpenDoor): Promise<dgram.Socket[]> {
  const own = await adoptUdp(door.own);
  const sockets = door.any === undefined ? [own] : [own, await adoptUdp(door.any)];
  const answer = (bytes: Uint8Array, source: UdpSender): void => {
    const reply = dhcp.receive(bytes, { interface: door.interface, port: door.port === 67 ? 67 : 4011, source });
    if (!reply) return;
    const detail = sendTo(door.own, reply.bytes, reply.to);
    if (detail === undefined) return;
    const mac = macFromBytes(reply.bytes.subarray(28, 34));
    const relay = reply.giaddr === undefined ? {} : { giaddr: reply.giaddr };
    const to = { interface: door.interface, address: reply.to.address, ...relay };
    onSeen({ kind: 'dhcp-unsent', mac, ...to, detail });
  };
  const descriptors = descriptorsOf(door);
  for (const [index, socket] of sockets.entries()) {
    socket.on('message', (bytes, { address, port }) => {
      answer(bytes, { address, port });
      // Machines that are switched on together ask together.
      for (let most = waitingAtOnce; most > 0; most--) {
        const next = receiveWaiting(descriptors[index]!, waiting);
        if (next === undefined) break;
        answer(waiting.subarray(0, next.length), next.from);
      }
    });
    socket.on('error', () => {}); // ICMP about an earlier reply: the client has gone on
  }
  return sockets;
}

async function openTftp(door: OpenDoor): Promise<TftpDoor> {
  return serveTftp({
    listener: await adoptUdp(door.own),
    interface: door.interface,
    mtu: data.mtus[door.interface] ?? 1500,
    files: { get: (name) => loaderFiles.get(name) },
    async openSocket() {
      const fd = openUdpDescriptor({ interface: door.interface, address: door.address, port: 0 });
      return { socket: await adoptUdp(fd), send: (bytes) => sendConnected(fd, bytes) };
    },
    nowMs,
    onSeen,
  });
}

const dhcpSockets: dgram.Socket[] = [];
const dhcpDescriptors: number[] = [];
const tftpDoors: TftpDoor[] = [];
for (const door of data.doors) {
  if (door.port === 69) tftpDoors.push(await openTftp(door));
  else {
    dhcpSockets.push(...(await openDhcp(door)));
    dhcpDescriptors.push(...descriptorsOf(door));
  }
}

/** On a busy computer the thread that firmware waits for comes first: it has little to do. Linux keeps a priority for each thread; 0 is the one that asks. */
function comeFirst(): void {
  try {
    setPriority(0, -10);
  } catch {
    // That takes root, CAP_SYS_NICE, or a limit that allows it (LimitNICE=).
  }
}
if (dhcpSockets.length > 0) comeFirst();

function dhcpCounters(): DhcpCounters {
  const lost = dhcpDescriptors.map(datagramsLost).filter((count) => count !== undefined);
  return { ...dhcp.counters(), ...(lost.length > 0 && { kernelDropped: lost.reduce((sum, count) => sum + count, 0) }) };
}

const flood = new FloodWatch();
const watchingFloods = setInterval(() => {
  const detail = flood.look(dhcpCounters());
  if (detail !== undefined) onSeen({ kind: 'dhcp-flood', detail });
}, floodLookEveryMs);

function tftpCounters(): TftpCounters {
  const sum = { started: 0, sent: 0, probed: 0, stopped: 0, refused: 0, repeated: 0, malformed: 0, active: 0 };
  for (const door of tftpDoors) {
    const counters = door.counters();
    for (const name of Object.keys(sum) as (keyof TftpCounters)[]) sum[name] += counters[name];
  }
  return sum;
}

async function close(id: number): Promise<void> {
  clearInterval(flushing);
  clearInterval(watchingFloods);
  await Promise.all([
    ...tftpDoors.map((door) => door.close()),
    ...dhcpSockets.map((socket) => new Promise<void>((resolve) => socket.close(() => resolve()))),
  ]);
  flush();
  say({ kind: 'done', id });
}

port.on('message', (message: ToThread) => {
  if (message.kind === 'scene') {
    scene = message.scene;
    loaderFiles = message.loaderFiles ?? loaderFiles;
    say({ kind: 'done', id: message.id });
  } else if (message.kind === 'counters') {
    say({ kind: 'counters', id: message.id, dhcp: dhcpCounters(), tftp: tftpCounters() });
  } else if (message.kind === 'tell') {
    flush();
    say({ kind: 'done', id: message.id });
  } else {
    void close(message.id);
  }
});
say({ kind: 'done', id: 0 });
// Whoever asks in earnest is practice as good.
const pause = async (): Promise<boolean> => {
  await new Promise((resolve) => setImmediate(resolve));
  return dhcp.counters().answered < 100;
};
if (dhcpSockets.length > 0) await warmUp({ scene, pause });
