// Packet captures as frames. What is damaged ends the reading of the rest, not of what came before it.
import { readPcap } from './pcap.ts';
import { readPcapng } from './pcapng.ts';

/** One captured frame. */
export interface Frame {
  /** Link type of the tcpdump.org registry. */
  readonly link: number;
  readonly bytes: Uint8Array;
  /** Unix time. Absent: the capture has none. */
  readonly seconds?: number;
  /** The frame was longer on the wire: octets there. */
  readonly wireLength?: number;
  readonly interface?: string;
}

export interface Capture {
  readonly frames: readonly Frame[];
  /** Where the file is damaged, as sentences. */
  readonly damage: readonly string[];
}

/** No frame is longer: tcpdump's own limit. */
export const frameMax = 262_144;

/** The capture, or undefined when the file is none. Never throws. */
export function readCapture(bytes: Uint8Array): Capture | undefined {
  return readPcap(bytes) ?? readPcapng(bytes);
}
