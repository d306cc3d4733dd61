// Text that came from a machine, made fit for a terminal, a log file and one line of JSON.

const encoder = new TextEncoder();

/** Without terminal sequences, control bytes and text-direction marks, at most `mostBytes` of UTF-8, cut at a character. */
export function cleanLine(text: string, mostBytes = 8192): string {
  const clean = text
    .slice(0, mostBytes + 64)
    .replace(/\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])/g, '')
    .replace(/\t/g, ' ')
    .replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, '')
    .toWellFormed();
  if (clean.length * 3 <= mostBytes) return clean;
  const bytes = encoder.encode(clean);
  if (bytes.length <= mostBytes) return clean;
  return new TextDecoder().decode(bytes.subarray(0, mostBytes), { stream: true });
}
