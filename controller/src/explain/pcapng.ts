// The capture format of Wireshark (draft-ietf-opsawg-pcapng): blocks, of which those that describe interfaces and hold packets are read.
import { type Capture, type Frame, frameMax } from './capture.ts';

const blockType = { section: 0x0a0d0d0a, interface: 1, packet: 2, simple: 3, enhanced: 6 } as const;

interface Interface {
  readonly link: number;
  readonly snapLength: number;
  readonly name?: string;
  /** Units of the time stamps in a second. */
  readonly perSecond: number;
}

/** Undefined unless it begins with a section header. */
export function readPcapng(bytes: Uint8Array): Capture | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 12 || view.getUint32(0) !== blockType.section) return undefined;
  const frames: Frame[] = [];
  let interfaces: Interface[] = [];
  let little = false;
  let at = 0;
  let count = 0;
  while (at < bytes.length) {
    count += 1;
    const damage = (what: string): Capture => ({ frames, damage: [`block ${count} at octet ${at}: ${what}`] });
    if (at + 12 > bytes.length) return damage('the file ends inside it');
    if (view.getUint32(at) === blockType.section) {
      const order = view.getUint32(at + 8);
      if (order !== 0x1a2b3c4d && order !== 0x4d3c2b1a) return damage('a section of unknown byte order');
      little = order === 0x4d3c2b1a;
      interfaces = [];
    }
    const type = view.getUint32(at, little);
    const length = view.getUint32(at + 4, little);
    if (length < 12 || length % 4 !== 0) return damage(`it says it has ${length} octets`);
    if (at + length > bytes.length) return damage('the file ends inside it');
    const body = new DataView(bytes.buffer, bytes.byteOffset + at + 8, length - 12);
    if (type === blockType.interface) {
      if (body.byteLength < 8) return damage('an interface without its fields');
      interfaces.push(readInterface(body, little));
    } else if (type === blockType.enhanced || type === blockType.packet || type === blockType.simple) {
      const frame = readPacket(body, type, little, interfaces);
      if (typeof frame === 'string') return damage(frame);
      frames.push(frame);
    }
    at += length;
  }
  return { frames, damage: [] };
}

function octets(view: DataView, from: number, length: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + from, length);
}

function readInterface(body: DataView, little: boolean): Interface {
  let name: string | undefined;
  let perSecond = 1e6;
  let at = 8;
  while (at + 4 <= body.byteLength) {
    const code = body.getUint16(at, little);
    const length = body.getUint16(at + 2, little);
    if (code === 0 || at + 4 + length > body.byteLength) break;
    if (code === 2) name = String.fromCharCode(...octets(body, at + 4, length)).replace(/\0.*$/s, '');
    if (code === 9 && length === 1) {
      const resolution = body.getUint8(at + 4); // highest bit: a power of two, else of ten
      perSecond = resolution & 0x80 ? 2 ** (resolution & 0x7f) : 10 ** resolution;
    }
    at += 4 + length + (-length & 3);
  }
  return {
    link: body.getUint16(0, little),
    snapLength: body.getUint32(4, little),
    perSecond,
    ...(name === undefined ? {} : { name }),
  };
}

/** A sentence when it is damaged. */
function readPacket(body: DataView, type: number, little: boolean, interfaces: readonly Interface[]): Frame | string {
  const simple = type === blockType.simple;
  const head = simple ? 4 : 20;
  if (body.byteLength < head) return 'a packet without its fields';
  // The obsolete packet block has 16 bits of interface number and 16 of drop count.
  const index = simple ? 0 : type === blockType.packet ? body.getUint16(0, little) : body.getUint32(0, little);
  const from = interfaces[index];
  if (from === undefined) return `a packet of interface ${index}, which isn't described`;
  const wireLength = body.getUint32(simple ? 0 : 16, little);
  const room = body.byteLength - head;
  const kept = simple ? Math.min(wireLength, from.snapLength || wireLength, room) : body.getUint32(12, little);
  if (kept > room || kept > frameMax) return `a packet that says it has ${kept} octets`;
  const seconds = simple
    ? undefined
    : (body.getUint32(4, little) * 2 ** 32 + body.getUint32(8, little)) / from.perSecond;
  return {
    link: from.link,
    bytes: octets(body, head, kept),
    ...(seconds === undefined ? {} : { seconds }),
    ...(wireLength > kept ? { wireLength } : {}),
    ...(from.name === undefined ? {} : { interface: from.name }),
  };
}
