// A client's side of a transfer: datagrams with a length octet before each; length 255 stands for a pause.
import { packFile, ReadTransfer } from '../../../controller/src/wire/tftp/transfer.ts';
import { bytesOf, must, type Target } from '../target.ts';

const file = new Uint8Array(3000).fill(7);

export const target: Target = {
  name: 'tftp-transfer',
  seeds: [
    Uint8Array.of(4, 0, 4, 0, 0, 4, 0, 4, 0, 1, 4, 0, 4, 0, 2, 4, 0, 4, 0, 3),
    Uint8Array.of(255, 255, 255, 255, 4, 0, 4, 0, 0),
    bytesOf('\x0a\0\x05\0\0stop\0\0'),
  ],
  dictionary: [
    Uint8Array.of(4, 0, 4, 0, 0),
    Uint8Array.of(4, 0, 4, 0, 1),
    Uint8Array.of(4, 0, 4, 0, 6),
    Uint8Array.of(255),
  ],
  allowed: [],
  run(bytes) {
    const transfer = new ReadTransfer(
      {
        options: [
          ['blksize', '512'],
          ['windowsize', '4'],
        ],
        fileSize: file.length,
      },
      (size) => packFile(file, size),
      { maxBlockSize: 1468, maxWindowSize: 16 },
    );
    let nowMs = 0;
    let sent = transfer.start(nowMs).send.length;
    let asked = 0;
    for (let at = 0; at < bytes.length && !transfer.ended; ) {
      const length = bytes[at]!;
      asked++;
      nowMs += 10;
      if (length === 255) {
        nowMs += 1500;
        sent += transfer.timeout(nowMs).send.length;
        at += 1;
        continue;
      }
      sent += transfer.receive(bytes.subarray(at + 1, at + 1 + length), nowMs).send.length;
      at += 1 + length;
    }
    must(sent <= 4 * (asked + 1), 'no datagram makes more than one window');
  },
};
