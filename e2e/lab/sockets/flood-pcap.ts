// A capture of many machines that ask at once: one DISCOVER, each time from another MAC, ready to be replayed by a program that isn't ours.
import { randomBytes, randomInt } from 'node:crypto';
import { closeSync, openSync, writeSync } from 'node:fs';

const ethernetBytes = 14;
const ipBytes = 20;
const udpBytes = 8;
const recordBytes = 16;
const framesAtOnce = 4096;

/** Classic pcap, little-endian, microseconds, Ethernet. */
function pcapHeader(): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(65_535, 16);
  header.writeUInt32LE(1, 20);
  return header;
}

/** RFC 1071 */
function internetChecksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** The record of one frame: from 0.0.0.0:68 to everybody's port 67, without a UDP checksum, which IPv4 allows (RFC 768). */
function record(payload: Buffer): Buffer {
  const frameBytes = ethernetBytes + ipBytes + udpBytes + payload.length;
  const bytes = Buffer.alloc(recordBytes + frameBytes);
  bytes.writeUInt32LE(frameBytes, 8);
  bytes.writeUInt32LE(frameBytes, 12);
  const frame = bytes.subarray(recordBytes);
  frame.fill(0xff, 0, 6);
  frame.writeUInt16BE(0x0800, 12);
  const ip = frame.subarray(ethernetBytes);
  ip[0] = 0x45;
  ip.writeUInt16BE(ipBytes + udpBytes + payload.length, 2);
  ip[8] = 64;
  ip[9] = 17;
  ip.fill(0xff, 16, 20);
  ip.writeUInt16BE(internetChecksum(ip.subarray(0, ipBytes)), 10);
  const udp = ip.subarray(ipBytes);
  udp.writeUInt16BE(68, 0);
  udp.writeUInt16BE(67, 2);
  udp.writeUInt16BE(udpBytes + payload.length, 4);
  payload.copy(udp, udpBytes);
  return bytes;
}

/**
 * Writes `count` frames. The MACs are random, locally administered and all distinct: an odd stride from a random start meets each value of
 * the last 32 bits once.
 * @param discover the DHCP message, whose chaddr and xid are replaced
 */
export function writeFlood(path: string, discover: Buffer, count: number): void {
  const one = record(discover);
  const source = recordBytes + 6;
  const message = recordBytes + ethernetBytes + ipBytes + udpBytes;
  const stride = (randomInt(2 ** 31) * 2 + 1) >>> 0;
  let low = randomInt(2 ** 32);
  const file = openSync(path, 'wx');
  try {
    writeSync(file, pcapHeader());
    for (let written = 0; written < count; written += framesAtOnce) {
      const frames = Math.min(framesAtOnce, count - written);
      const chunk = Buffer.alloc(frames * one.length);
      const xids = randomBytes(frames * 4);
      for (let index = 0; index < frames; index++) {
        const at = index * one.length;
        one.copy(chunk, at);
        low = (low + stride) >>> 0;
        for (const mac of [at + source, at + message + 28]) {
          chunk.writeUInt16BE(0x02ee, mac);
          chunk.writeUInt32BE(low, mac + 2);
        }
        xids.copy(chunk, at + message + 4, index * 4, index * 4 + 4);
      }
      writeSync(file, chunk);
    }
  } finally {
    closeSync(file);
  }
}
