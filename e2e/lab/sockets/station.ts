// A station on a LAN: sends the datagrams it is told to and reports each one it hears. Plain sockets of Node, none of Nixie's code.
import dgram from 'node:dgram';
import { createInterface } from 'node:readline';

const ports = process.argv[2]!.split(',').map(Number);
const say = (line: object): void => console.log(JSON.stringify(line));
const sockets = new Map<number, dgram.Socket>();
for (const port of ports) {
  const socket = dgram.createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(port, '0.0.0.0', resolve));
  socket.setBroadcast(true);
  socket.on('message', (bytes, from) => {
    say({
      heard: true,
      port,
      from: from.address,
      fromPort: from.port,
      hex: bytes.toString('hex'),
      atMs: performance.now(),
    });
  });
  sockets.set(port, socket);
}

/** Many copies of a packet, each from a MAC of its own (chaddr is at 28); in between, at the middle, `known` goes once. */
async function flood(packet: Buffer, known: Buffer, count: number): Promise<number> {
  const socket = sockets.get(68)!;
  let knownAtMs = 0;
  for (let index = 0; index < count; index++) {
    if (index === Math.floor(count / 2)) {
      knownAtMs = performance.now();
      socket.send(known, 67, '255.255.255.255');
    }
    const copy = Buffer.from(packet);
    copy.writeUInt32BE((Math.random() * 2 ** 32) >>> 0, 30);
    copy[28] = 0x02;
    copy[29] = 0xee;
    socket.send(copy, 67, '255.255.255.255', () => {});
    if (index % 200 === 199) await new Promise(setImmediate);
  }
  return knownAtMs;
}

say({ ready: true });
createInterface({ input: process.stdin })
  .on('line', async (text) => {
    const request = JSON.parse(text) as {
      hex: string;
      fromPort: number;
      to: string;
      port: number;
      flood?: number;
      known?: string;
    };
    if (request.flood !== undefined) {
      const knownAtMs = await flood(Buffer.from(request.hex, 'hex'), Buffer.from(request.known!, 'hex'), request.flood);
      say({ answer: true, knownAtMs });
    } else {
      const atMs = performance.now();
      sockets.get(request.fromPort)!.send(Buffer.from(request.hex, 'hex'), request.port, request.to, (error) => {
        say({ answer: true, atMs, error: error?.message });
      });
    }
  })
  .on('close', () => process.exit(0));
