// Bytes to lines with a bound, for what children print.

export interface LineSplitter {
  push(chunk: Uint8Array): void;
  /** Gives the last line out when it had no end. */
  end(): void;
  /** Lines that were cut because they were too long. */
  readonly cut: number;
}

/** Calls `onLine` with each line, without its end (`\n` or `\r\n`); a line longer than `maxLength` UTF-16 units is cut there. */
export function lineSplitter(onLine: (line: string) => void, maxLength = 64 * 1024): LineSplitter {
  const decoder = new TextDecoder();
  let rest = '';
  let skipping = false;
  let cut = 0;
  const give = (line: string) => onLine(line.endsWith('\r') ? line.slice(0, -1) : line);
  const feed = (text: string) => {
    let from = 0;
    for (;;) {
      const at = text.indexOf('\n', from);
      const piece = at < 0 ? text.slice(from) : text.slice(from, at);
      if (!skipping) {
        rest += piece;
        if (rest.length > maxLength) {
          cut++;
          skipping = true;
          give(rest.slice(0, maxLength));
          rest = '';
        }
      }
      if (at < 0) return;
      if (!skipping) give(rest);
      rest = '';
      skipping = false;
      from = at + 1;
    }
  };
  return {
    push: (chunk) => feed(decoder.decode(chunk, { stream: true })),
    end() {
      feed(decoder.decode());
      if (rest !== '' && !skipping) give(rest);
      rest = '';
    },
    get cut() {
      return cut;
    },
  };
}
