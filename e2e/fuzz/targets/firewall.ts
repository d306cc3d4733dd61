// Rules as nft and iptables-save print them: what is not understood is never an answer.
import { readFileSync } from 'node:fs';
import { fateOf } from '../../../controller/src/doctor/firewall.ts';
import { readIptables } from '../../../controller/src/doctor/firewall-iptables.ts';
import { readNft } from '../../../controller/src/doctor/firewall-nft.ts';
import { bytesOf, must, type Target, text } from '../target.ts';

const nft = readFileSync(new URL('../../../controller/src/doctor/fixtures/nft.json', import.meta.url));
const packets = (['udp', 'tcp'] as const).map((protocol) => ({
  ...{ interface: 'eth0', protocol, port: 69, fromPort: 50_000, from: '10.0.0.1', to: '10.0.0.1' },
}));

export const target: Target = {
  name: 'firewall',
  seeds: [
    new Uint8Array(nft),
    bytesOf(
      '*filter\n:INPUT DROP [0:0]\n:own - [0:0]\n-A INPUT -i lo -j ACCEPT\n-A INPUT -j own\n-A own ! -s 10.9.0.0/16 -p udp -m multiport --dports 67,69 -m comment --comment "a b" -j ACCEPT\nCOMMIT\n',
    ),
    bytesOf(
      '{"nftables":[{"chain":{"family":"ip","table":"t","name":"c","hook":"input","type":"filter","policy":"drop"}},{"rule":{"family":"ip","table":"t","chain":"c","expr":[{"goto":{"target":"c"}}]}}]}',
    ),
  ],
  dictionary: [
    '"vmap"',
    '"set"',
    '"range"',
    '"prefix"',
    '"jump"',
    '"@allowed"',
    '"op": "!="',
    '-g own',
    '! ',
    '--dport',
    '-m',
    '10.0.0.0/255.0.0.0',
    ':INPUT',
  ],
  maxBytes: 64 * 1024,
  allowed: [],
  run(bytes) {
    const given = text(bytes);
    for (const chains of [readNft(given), readNft(given, ['inet filter']), readIptables(given)])
      for (const packet of packets)
        must(
          chains === undefined || ['open', 'dropped', 'unknown'].includes(fateOf(packet, chains)),
          'there is a fate',
        );
  },
};
