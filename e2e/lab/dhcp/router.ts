// A relay whose every packet the test writes: sends from the router's port 67 as a relay does, and says what comes back to its addresses.
// Arguments: addresses to listen on, by commas. Requests: { hex, from, to, port }.
import dgram from 'node:dgram';
import { createInterface } from 'node:readline';

const say = (line: object): void => console.log(JSON.stringify(line));
const sockets = new Map<string, dgram.Socket>();
for (const address of process.argv[2]!.split(',')) {
  const socket = dgram.createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(67, address, resolve));
  socket.setBroadcast(true);
  socket.on('message', (bytes, from) => {
    say({ heard: true, at: address, from: from.address, fromPort: from.port, hex: bytes.toString('hex') });
  });
  sockets.set(address, socket);
}
say({ ready: true });
createInterface({ input: process.stdin })
  .on('line', (text) => {
    const { hex, from, to, port } = JSON.parse(text) as { hex: string; from: string; to: string; port: number };
    sockets.get(from)!.send(Buffer.from(hex, 'hex'), port, to, (error) => say({ answer: true, error: error?.message }));
  })
  .on('close', () => process.exit(0));
