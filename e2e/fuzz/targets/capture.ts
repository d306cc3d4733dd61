import { readCapture } from '../../../controller/src/explain/capture.ts';
import { readFrame } from '../../../controller/src/explain/datagram.ts';
import { explainFile } from '../../../controller/src/explain/explain.ts';
import { UnknownInput } from '../../../controller/src/explain/input.ts';
import { readPcap } from '../../../controller/src/explain/pcap.ts';
import { readPcapng } from '../../../controller/src/explain/pcapng.ts';
import { fileSeed } from '../seeds.ts';
import { must, type Target } from '../target.ts';

const block = (type: number, body: readonly number[]): number[] => {
  const length = body.length + 12;
  const u32 = (value: number): number[] => [value & 255, (value >> 8) & 255, (value >> 16) & 255, (value >>> 24) & 255];
  return [...u32(type), ...u32(length), ...body, ...u32(length)];
};
const udp = [...fileSeed('controller/src/explain/fixtures/ovmf-hubport.pcap', 440).slice(40)];
const padded = [...udp, ...Array<number>(-udp.length & 3).fill(0)];
const u32 = (value: number): number[] => [value & 255, (value >> 8) & 255, (value >> 16) & 255, (value >>> 24) & 255];
const section = block(0x0a0d0d0a, [0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, ...Array<number>(8).fill(255)]);
const pcapng = Uint8Array.from([
  ...section,
  ...block(1, [1, 0, 0, 0, 0, 0, 4, 0, 2, 0, 4, 0, 101, 116, 104, 48, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0]),
  ...block(6, [...u32(0), ...u32(1), ...u32(2), ...u32(udp.length), ...u32(udp.length), ...padded]),
  ...block(3, [...u32(udp.length), ...padded]),
]);

export const target: Target = {
  name: 'capture',
  seeds: [
    ...['cooked', 'hubport', 'tcpdump', 'virtio'].map((name) =>
      fileSeed(`controller/src/explain/fixtures/ovmf-${name}.pcap`, 2048),
    ),
    pcapng,
  ],
  dictionary: [
    Uint8Array.of(0x81, 0, 0, 1),
    Uint8Array.of(0x08, 0x00, 0x45, 0x00),
    Uint8Array.of(0xa1, 0xb2, 0xc3, 0xd4),
    Uint8Array.from(section),
    Uint8Array.of(0x63, 0x82, 0x53, 0x63),
    Uint8Array.of(0, 67, 0, 68),
    Uint8Array.of(0, 69),
  ],
  allowed: [UnknownInput],
  run(bytes) {
    readPcap(bytes);
    readPcapng(bytes);
    for (const frame of readCapture(bytes)?.frames ?? []) readFrame(frame);
    const { text, json } = explainFile(bytes);
    must(!/[\x00-\x09\x0b-\x1f\x7f]/.test(text), 'what is printed has no control characters');
    JSON.stringify(json);
  },
};
