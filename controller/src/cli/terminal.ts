// The controlling terminal of this process, whatever its standard input and output are.
import { constants, openSync, writeSync } from 'node:fs';
import { ReadStream } from 'node:tty';
import type { Terminal } from './ask.ts';

/** Undefined when this process has none. */
export function openTerminal(): Terminal | undefined {
  let descriptor: number;
  try {
    descriptor = openSync('/dev/tty', constants.O_RDWR | constants.O_NOCTTY);
  } catch {
    return undefined;
  }
  const stream = new ReadStream(descriptor);
  // Raw: no echo, and keys come as they are typed.
  stream.setRawMode(true);
  const waiting: Uint8Array[] = [];
  let ended = false;
  let wake = () => {};
  stream.on('data', (bytes: Buffer) => {
    waiting.push(bytes);
    wake();
  });
  const end = () => {
    ended = true;
    wake();
  };
  stream.on('end', end);
  stream.on('error', end);
  stream.on('close', end);
  return {
    write: (text) => void writeSync(descriptor, text),
    async read() {
      if (waiting.length === 0 && !ended)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      return waiting.shift();
    },
    close() {
      stream.setRawMode(false);
      stream.destroy();
    },
  };
}
