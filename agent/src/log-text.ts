// Text of any program, made fit to be sent, shown and kept.

const encoder = new TextEncoder();
const plain = /^[\x20-\x7e]*$/;

/** Without control bytes, terminal colours and text-direction marks, at most `mostBytes` of UTF-8. */
export function cleanLine(text: string, mostBytes = 8192): string {
  // Nearly every line is like that.
  if (text.length <= mostBytes && plain.test(text)) return text;
  const clean = text
    .slice(0, mostBytes + 64)
    .replace(/\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])/g, '')
    .replace(/\t/g, ' ')
    .replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, '')
    .toWellFormed();
  if (clean.length * 3 <= mostBytes || encoder.encode(clean).length <= mostBytes) return clean;
  // Cut at a character: stream mode drops the broken rest.
  return new TextDecoder().decode(encoder.encode(clean).subarray(0, mostBytes), { stream: true });
}
