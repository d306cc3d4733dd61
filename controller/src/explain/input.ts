// What a file holds, of whatever kind it is: datagrams in order, and what could not be read.
import type { Frame } from './capture.ts';
import { readCapture } from './capture.ts';
import { type Datagram, readFrame } from './datagram.ts';
import { readTextInput } from './text-input.ts';

export interface InputPacket {
  /** Of the frame or line in the file, from 1. */
  readonly number: number;
  readonly seconds?: number;
  readonly note?: string;
  readonly content:
    | Datagram
    | { readonly kind: 'payload'; readonly payload: Uint8Array }
    | { readonly kind: 'fragment'; readonly text: string }
    | { readonly kind: 'damaged'; readonly text: string };
}

export interface Input {
  readonly format: 'capture' | 'jsonl' | 'hex';
  readonly packets: readonly InputPacket[];
  /** Frames that hold no IPv4 UDP. */
  readonly others: number;
  readonly damage: readonly string[];
}

export class UnknownInput extends Error {
  constructor() {
    super('read packets: neither a capture (pcap, pcapng), nor JSON lines with a field "raw", nor hexadecimal text');
    this.name = 'UnknownInput';
  }
}

/** Throws UnknownInput, nothing else. */
export function readInput(bytes: Uint8Array): Input {
  const capture = readCapture(bytes);
  if (capture !== undefined) return inputOfFrames(capture.frames, capture.damage);
  const text = readTextInput(decodeText(bytes));
  if (text === undefined) throw new UnknownInput();
  return {
    format: text.format,
    others: 0,
    damage: text.damage,
    packets: text.packets.map((packet, index) => ({
      number: index + 1,
      content: packet.datagram ?? { kind: 'payload', payload: packet.payload },
      ...(packet.seconds === undefined ? {} : { seconds: packet.seconds }),
      ...(packet.note === undefined ? {} : { note: packet.note }),
    })),
  };
}

/** ASCII is all that the text forms have; other octets become characters that no form accepts. */
function decodeText(bytes: Uint8Array): string {
  const pieces: string[] = [];
  for (let at = 0; at < bytes.length; at += 8192) pieces.push(String.fromCharCode(...bytes.subarray(at, at + 8192)));
  return pieces.join('');
}

function inputOfFrames(frames: readonly Frame[], damage: readonly string[]): Input {
  const packets: InputPacket[] = [];
  const start = frames.find((frame) => frame.seconds !== undefined)?.seconds ?? 0;
  let others = 0;
  frames.forEach((frame, index) => {
    const content = readFrame(frame);
    if (content.kind === 'other') {
      others += 1;
      return;
    }
    packets.push({
      number: index + 1,
      content,
      ...(frame.seconds === undefined ? {} : { seconds: frame.seconds - start }),
      ...(frame.interface === undefined ? {} : { note: frame.interface }),
    });
  });
  return { format: 'capture', packets, others, damage };
}
