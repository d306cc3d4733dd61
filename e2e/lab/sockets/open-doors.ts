// Opens what a controller opens on one interface, and says as whom; run with few rights by a test. Arguments: interface, address.
import { openUdpDescriptor, openUdpPair } from '../../../controller/src/listen/udp.ts';

const [name = '', address = ''] = process.argv.slice(2);
for (const port of [67, 4011]) openUdpPair({ interface: name, address, port });
openUdpDescriptor({ interface: name, address, port: 69 });
process.stdout.write(`${process.getuid?.()} opened\n`);
