// A man in the middle at the controller's place, with a certificate of his own: `false-controller.ts ADDRESS PORT`. Says what comes out of TLS.
import { createServer } from 'node:tls';
import { makeTls } from '../../../controller/src/store/tls.ts';

const [address = '', port = '0'] = process.argv.slice(2);
const { certPem, keyPem } = await makeTls();
const say = (line: object): void => console.log(JSON.stringify(line));
// HTTP/2 first, as gRPC wants it.
const server = createServer({ cert: certPem, key: keyPem, ALPNProtocols: ['h2'] }, (socket) => {
  socket.on('data', (bytes: Buffer) => say({ heard: bytes.length }));
  socket.on('error', () => {});
  say({ greeted: true });
});
server.on('connection', () => say({ came: true }));
server.listen({ host: address, port: Number(port) }, () => say({ ready: true }));
process.stdin.on('close', () => process.exit(0)).resume();
