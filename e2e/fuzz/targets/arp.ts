import { parseNeighbours } from '../../../controller/src/install/find.ts';
import { parseMac } from '../../../controller/src/machine/mac.ts';
import { bytesOf, must, type Target, text } from '../target.ts';

export const target: Target = {
  name: 'arp',
  seeds: [
    bytesOf(
      'IP address       HW type     Flags       HW address            Mask     Device\n10.0.0.7         0x1         0x2         52:54:00:77:00:01     *        eth0\n10.0.0.8         0x1         0x0         00:00:00:00:00:00     *        eth0\n',
    ),
  ],
  dictionary: ['0x2', '0x6', '\n', '\t', 'br0', 'ff:ff:ff:ff:ff:ff'],
  allowed: [],
  run(bytes) {
    for (const { mac, interfaceName } of parseNeighbours(text(bytes)))
      must(parseMac(mac) === mac && interfaceName !== '', 'each entry has a MAC and an interface');
  },
};
