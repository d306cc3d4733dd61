import { printTftp } from '../../../controller/src/explain/tftp-text.ts';
import { agreeOn } from '../../../controller/src/wire/tftp/options.ts';
import { decodeTftp, encodeTftp, TftpFormatError } from '../../../controller/src/wire/tftp/packet.ts';
import { bytesOf, must, type Target } from '../target.ts';

export const target: Target = {
  name: 'tftp',
  seeds: [
    bytesOf('\0\x01snponly.efi\0octet\0tsize\x000\0blksize\x001468\0windowsize\x0016\0'),
    bytesOf('\0\x02undionly.kpxe\0netascii\0timeout\x005\0'),
    bytesOf('\0\x03\0\x01data'),
    bytesOf('\0\x04\0\x07'),
    bytesOf('\0\x05\0\x08User aborted the transfer\0'),
    bytesOf('\0\x06blksize\x001432\0'),
  ],
  dictionary: [
    'blksize',
    'tsize',
    'windowsize',
    'timeout',
    'octet',
    'BLKSIZE',
    '\0',
    '65464',
    '8',
    '4294967296',
    '..',
    '\\',
  ],
  maxBytes: 65_507,
  allowed: [TftpFormatError],
  run(bytes) {
    const packet = decodeTftp(bytes);
    must(/^[ -~]*$/.test(printTftp(packet)), 'what is printed has no control characters');
    const again = encodeTftp(packet);
    must(Buffer.compare(again, encodeTftp(decodeTftp(again))) === 0, 'what was encoded decodes to the same');
    if (packet.op !== 'read') return;
    const { blockSize, windowSize } = agreeOn(packet.options, 1_000_000, { maxBlockSize: 1468, maxWindowSize: 64 });
    must(blockSize >= 8 && blockSize <= 1468 && windowSize >= 1 && windowSize <= 64, 'terms within the limits');
  },
};
