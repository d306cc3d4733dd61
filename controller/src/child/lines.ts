// Bytes of a child → lines. Pure. Whatever a child prints, a line is bounded.

/** Characters (UTF-16 units) kept of one line that people are to read. */
export const maxLineLength = 2000;

export interface LineSplitter {
  push(bytes: Uint8Array): void;
  /** Gives out what is left without a line end. */
  end(): void;
}

/** Calls `onLine` for each line, without its end; CR alone ends a line too (progress bars). Longer lines are cut at `limit` characters. */
export function splitLines(onLine: (line: string, cut: boolean) => void, limit: number): LineSplitter {
  const decoder = new TextDecoder();
  let rest = '';
  let cut = false;
  const take = (text: string) => {
    const parts = text.split(/\r\n|\n|\r/);
    const last = parts.pop()!;
    for (const part of parts) finish(part);
    grow(last);
  };
  const grow = (text: string) => {
    if (rest.length + text.length <= limit) rest += text;
    else {
      rest += text.slice(0, Math.max(0, limit - rest.length));
      cut = true;
    }
  };
  const finish = (text: string) => {
    grow(text);
    const [line, wasCut] = [rest, cut];
    rest = '';
    cut = false;
    onLine(line, wasCut);
  };
  // A CR at the end of a chunk may be half of CRLF: kept until the next byte tells.
  let heldReturn = false;
  return {
    push(bytes) {
      let text = decoder.decode(bytes, { stream: true });
      if (text === '') return;
      if (heldReturn) text = `\r${text}`;
      heldReturn = text.endsWith('\r');
      take(heldReturn ? text.slice(0, -1) : text);
    },
    end() {
      const text = decoder.decode();
      take(heldReturn ? `\r${text}` : text);
      heldReturn = false;
      if (rest !== '') finish('');
    },
  };
}

/** Lines for people: no control bytes; one that was cut ends in `…`. */
export function splitCleanLines(onLine: (line: string) => void, limit = maxLineLength): LineSplitter {
  return splitLines((line, cut) => onLine(cleanLine(line).slice(0, limit) + (cut ? '…' : '')), limit);
}

/** Without colours, cursor movements and other control bytes; tabs become blanks. */
export function cleanLine(text: string): string {
  return text
    .replace(/\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b./g, '')
    .replace(/\t/g, '  ')
    .replace(/[\x00-\x1f\x7f-\x9f]/g, '');
}
