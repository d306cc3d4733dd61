import { answerDhcp } from '../../../controller/src/answer/dhcp.ts';
import { scene } from '../../../controller/src/answer/testing.ts';
import {
  allOptions,
  DhcpFormatError,
  decodeDhcp,
  encodeDhcp,
  encodeDhcpInto,
  headerText,
  option,
} from '../../../controller/src/wire/dhcp4/packet.ts';
import { parseDhcp, printDhcp } from '../../../controller/src/wire/dhcp4/print.ts';
import { dhcpSeeds } from '../seeds.ts';
import { must, type Target } from '../target.ts';

const scenes = [scene({ mode: 'proxy' }), scene({ mode: 'range' }), scene({ offer: 'local' }), scene({ mode: 'off' })];

/** Never cleared: as the controller uses it. */
const into = new Uint8Array(1024);

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

export const target: Target = {
  name: 'dhcp-packet',
  seeds: dhcpSeeds(),
  dictionary: [
    Uint8Array.of(0x63, 0x82, 0x53, 0x63),
    Uint8Array.of(52, 1, 1),
    Uint8Array.of(52, 1, 2),
    Uint8Array.of(52, 1, 3),
    Uint8Array.of(53, 1, 1),
    Uint8Array.of(53, 1, 3),
    Uint8Array.of(53, 1, 8),
    Uint8Array.of(61, 7, 1, 0x52, 0x54, 0, 0x77, 0, 1),
    Uint8Array.of(0x52, 0x54, 0, 0x77, 0, 1),
    Uint8Array.of(93, 2, 0, 7),
    Uint8Array.of(97, 17, 0),
    Uint8Array.of(57, 2, 5, 0xc0),
    Uint8Array.of(43, 5, 6, 1, 8, 255, 0),
    Uint8Array.of(82, 6, 1, 4, 1, 2, 3, 4),
    Uint8Array.of(82, 6, 5, 4, 10, 78, 0, 0),
    Uint8Array.of(10, 77, 0, 150),
    Uint8Array.of(10, 78, 0, 1),
    'PXEClient:Arch:00007:UNDI:003000',
    'HTTPClient:Arch:00016',
    'iPXE',
    Uint8Array.of(255),
  ],
  maxBytes: 65_507,
  allowed: [DhcpFormatError],
  run(bytes) {
    const packet = decodeDhcp(bytes);
    for (const [code] of allOptions(packet).slice(0, 16)) option(packet, code);
    headerText(packet, 'file');
    headerText(packet, 'sname');
    const encoded = encodeDhcp(packet);
    must(same(encoded, encodeDhcp(decodeDhcp(encoded))), 'what was encoded decodes to the same');
    must(same(encoded, encodeDhcpInto(packet, into)), 'it encodes the same in memory that held another');
    must(same(encoded, encodeDhcp(parseDhcp(printDhcp(packet)))), 'what was printed reads back to the same');
    for (const one of scenes)
      for (const port of [67, 4011] as const) {
        const source = { address: packet.ciaddr, port: 68 };
        const decision = answerDhcp({ packet, interface: 'br0', port, source }, one);
        if (decision.kind === 'reply') decodeDhcp(encodeDhcp(decision.packet));
      }
  },
};
