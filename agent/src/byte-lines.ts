// Bytes of a child → lines. What is longer than the bound is cut there; the rest of it is not kept for a moment.

export interface ByteLines {
  /** Calls back for each line that these bytes end. */
  push(bytes: Buffer): void;
}

export function byteLines(found: (line: string) => void, mostBytes: number): ByteLines {
  let parts: Buffer[] = [];
  let length = 0;
  const keep = (bytes: Buffer): void => {
    const room = mostBytes - length;
    if (room <= 0 || bytes.length === 0) return;
    parts.push(bytes.length > room ? bytes.subarray(0, room) : bytes);
    length += Math.min(room, bytes.length);
  };
  return {
    push(bytes) {
      let from = 0;
      for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10, from)) {
        if (parts.length === 0) found(bytes.toString('utf8', from, Math.min(end, from + mostBytes)));
        else {
          keep(bytes.subarray(from, end));
          found(Buffer.concat(parts).toString('utf8'));
          parts = [];
          length = 0;
        }
        from = end + 1;
      }
      // A copy: a line that never ends must not hold the chunks it came with.
      if (from < bytes.length) keep(Buffer.from(bytes.subarray(from, from + mostBytes)));
    },
  };
}
