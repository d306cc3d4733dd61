// The classic capture file of tcpdump and of QEMU's filter-dump, in both byte orders, with micro- or nanoseconds.
import { type Capture, type Frame, frameMax } from './capture.ts';

const headerLength = 24;
const recordLength = 16;

/** Undefined unless it begins with one of the four magic numbers. */
export function readPcap(bytes: Uint8Array): Capture | undefined {
  if (bytes.length < 4) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magics: readonly (readonly [number, boolean, number])[] = [
    [0xa1b2c3d4, false, 1e6],
    [0xd4c3b2a1, true, 1e6],
    [0xa1b23c4d, false, 1e9],
    [0x4d3cb2a1, true, 1e9],
  ];
  const magic = magics.find(([number]) => view.getUint32(0) === number);
  if (magic === undefined) return undefined;
  if (bytes.length < headerLength) return { frames: [], damage: ['the file ends inside its header'] };
  const [, little, fraction] = magic;
  const link = view.getUint32(20, little) & 0xffff; // the upper half may tell the length of a frame check sequence
  const frames: Frame[] = [];
  let at = headerLength;
  while (at < bytes.length) {
    const record = `record ${frames.length + 1} at octet ${at}`;
    if (at + recordLength > bytes.length) return { frames, damage: [`${record}: the file ends inside it`] };
    const length = view.getUint32(at + 8, little);
    const wireLength = view.getUint32(at + 12, little);
    if (length > frameMax) return { frames, damage: [`${record}: it says it has ${length} octets`] };
    const end = at + recordLength + length;
    if (end > bytes.length) return { frames, damage: [`${record}: the file ends inside it`] };
    frames.push({
      link,
      bytes: bytes.subarray(at + recordLength, end),
      seconds: view.getUint32(at, little) + view.getUint32(at + 4, little) / fraction,
      ...(wireLength > length ? { wireLength } : {}),
    });
    at = end;
  }
  return { frames, damage: [] };
}
