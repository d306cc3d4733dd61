// Frames with what other DHCP servers say, from whoever is on the wire.

import { address, asks, text } from '../../../controller/src/answer/testing.ts';
import { offered, readOffer, serverName } from '../../../controller/src/doctor/offer.ts';
import { encodeDhcp } from '../../../controller/src/wire/dhcp4/packet.ts';
import { encodeUdp4 } from '../../../controller/src/wire/udp4/packet.ts';
import { must, type Target } from '../target.ts';

const from = { address: '10.0.0.2', port: 67 };
const to = { address: '255.255.255.255', port: 68 };
const offer = asks('OFFER', [text(60, 'PXEClient'), text(67, 'pxelinux.0')], { op: 2, yiaddr: '10.0.0.9' }, [
  address(54, '10.0.0.2'),
]);
const ethernet = [255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 2, 8, 0];

export const target: Target = {
  name: 'dhcp-offer',
  seeds: [
    Uint8Array.from([...ethernet, ...encodeUdp4(from, to, encodeDhcp(offer))]),
    Uint8Array.from([
      ...ethernet,
      ...encodeUdp4(from, to, encodeDhcp({ ...offer, options: [[52, Uint8Array.of(3)], ...offer.options] })),
    ]),
  ],
  dictionary: [
    'PXEClient',
    'HTTPClient',
    Uint8Array.of(52, 1, 3),
    Uint8Array.of(54, 4),
    Uint8Array.of(0x63, 0x82, 0x53, 0x63),
  ],
  maxBytes: 2048,
  allowed: [],
  run(bytes) {
    const read = readOffer(bytes);
    if (read === undefined) return;
    must(/^[ -~]*$/.test(`${read.file ?? ''}${serverName(read)}${offered(read)}`), 'what is told is printable');
  },
};
