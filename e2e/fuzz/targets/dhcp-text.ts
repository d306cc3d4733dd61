import { decodeDhcp, encodeDhcp } from '../../../controller/src/wire/dhcp4/packet.ts';
import { DhcpTextError, parseDhcp, printDhcp } from '../../../controller/src/wire/dhcp4/print.ts';
import { dhcpSeeds } from '../seeds.ts';
import { bytesOf, must, type Target, text } from '../target.ts';

export const target: Target = {
  name: 'dhcp-text',
  seeds: dhcpSeeds(12).map((raw) => bytesOf(printDhcp(decodeDhcp(raw)).join('\n'))),
  dictionary: [
    'request xid 00000000 secs 65535 flags 8000 hops 255',
    '\nsname "',
    '\nfile "',
    '\\x00',
    '\n43 vendor: hex ff',
    ' then 00',
    'constructor=',
    '__proto__=',
    '=ff',
    ' end',
    'UNDI 3.255',
    ' (16 bit)',
    'ethernet 52:54:00:77:00:01',
  ],
  allowed: [DhcpTextError],
  run(bytes) {
    const packet = parseDhcp(text(bytes).split('\n'));
    const printed = printDhcp(packet).join('\n');
    must(printDhcp(parseDhcp(printed.split('\n'))).join('\n') === printed, 'what was read prints and reads again');
    // Longer values than 255 octets become two options on the wire.
    if (packet.options.some(([, value]) => value.length > 255)) return;
    const encoded = encodeDhcp(packet);
    const { options, xid, secs, flags, hops, htype, hlen } = decodeDhcp(encoded);
    must(options.length === packet.options.length, 'as many options on the wire as in the text');
    must(
      [xid, secs, flags, hops, htype, hlen].join() ===
        [packet.xid, packet.secs, packet.flags, packet.hops, packet.htype, packet.hlen].join(),
      'header fields fit the wire',
    );
  },
};
