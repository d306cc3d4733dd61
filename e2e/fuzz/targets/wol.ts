import { decodeMagicPacket, encodeMagicPacket } from '../../../controller/src/wire/wol/magic.ts';
import { must, type Target } from '../target.ts';

const mac = Uint8Array.of(0x52, 0x54, 0, 0x77, 0, 1);

export const target: Target = {
  name: 'wol',
  seeds: [encodeMagicPacket(mac), encodeMagicPacket(mac, Uint8Array.of(1, 2, 3, 4)), encodeMagicPacket(mac, mac)],
  dictionary: [new Uint8Array(6).fill(255), mac],
  maxBytes: 65_507,
  allowed: [],
  run(bytes) {
    const found = decodeMagicPacket(bytes);
    if (found === undefined) return;
    const { mac: of, secureOn } = found;
    const again = decodeMagicPacket(encodeMagicPacket(of, secureOn.length > 0 ? secureOn : undefined));
    must(again !== undefined, 'what was found can be sent');
  },
};
