// Runs inside the machines' namespace, as their network cards' standby power would: hears magic packets and prints one JSON line for each.
// A socket on 0.0.0.0 hears 255.255.255.255 without a route; the subnet's broadcast needs the bridge's address.
import { createSocket } from 'node:dgram';

function magicTarget(data: Buffer): { mac: string; secureOn?: string } | undefined {
  for (let at = 0; at + 102 <= data.length; at += 1) {
    if (!data.subarray(at, at + 6).every((byte) => byte === 0xff)) continue;
    const mac = data.subarray(at + 6, at + 12);
    const repeated = Array.from({ length: 16 }, (_, i) => data.subarray(at + 6 + i * 6, at + 12 + i * 6));
    if (!repeated.every((part) => part.equals(mac))) continue;
    const password = data.subarray(at + 102);
    return {
      mac: mac.toString('hex').replace(/(..)(?!$)/g, '$1:'),
      ...(password.length === 4 || password.length === 6 ? { secureOn: password.toString('hex') } : {}),
    };
  }
  return undefined;
}

for (const port of [9, 7]) {
  const socket = createSocket({ type: 'udp4', reuseAddr: true });
  socket.on('message', (data, from) => {
    const target = magicTarget(data);
    if (target === undefined) return;
    process.stdout.write(`${JSON.stringify({ ...target, port, from: from.address })}\n`);
  });
  socket.bind(port, '0.0.0.0', () => process.stdout.write(`${JSON.stringify({ listening: port })}\n`));
}
