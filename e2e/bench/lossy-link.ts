// A link with a delay and losses, as a process between two TAP devices: `lossy-link.ts DEVICE DEVICE DELAY-MS`. A line on its standard input sets
// `PERMILLE SEED` for what follows. Kernels without netem have nothing like it.
import { openSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { makeTap, Poll, readFrame, writeFrame } from './sockets.ts';

const [first, second, delay] = process.argv.slice(2) as [string, string, string];
const delayMs = Number(delay);
const open = (name: string): number => {
  const fd = openSync('/dev/net/tun', 2048 | 2); // O_NONBLOCK | O_RDWR
  makeTap(fd, name);
  return fd;
};
const ends = [open(first), open(second)] as const;
const poll = new Poll();
for (const fd of ends) poll.add(fd);

let permille = 0;
let state = 1;
/** mulberry32: the same losses for the same seed. */
function random(): number {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}

const most = 4096;
const waiting: { readonly at: number; readonly to: number; readonly bytes: Uint8Array }[] = [];
const into = new Uint8Array(2048);
process.stdin.on('data', (text) => {
  const words = String(text).trim().split('\n').at(-1)!.split(' ').map(Number);
  [permille, state] = [words[0] ?? 0, words[1] ?? 1];
  console.log(`set ${permille}`);
});
process.stdin.on('end', () => process.exit(0));
console.log('ready');
for (;;) {
  const next = waiting[0];
  const timeoutMs = next === undefined ? 20 : Math.max(0, Math.min(20, Math.ceil(next.at - performance.now())));
  poll.wait(timeoutMs, (fd) => {
    const length = readFrame(fd, into);
    if (length <= 0 || waiting.length >= most) return;
    // Only IPv4's UDP is lost, so that no name or neighbour has to be found again.
    if (into[12] === 8 && into[13] === 0 && into[23] === 17 && random() * 1000 < permille) return;
    waiting.push({
      at: performance.now() + delayMs,
      to: fd === ends[0] ? ends[1] : ends[0],
      bytes: into.slice(0, length),
    });
  });
  const nowMs = performance.now();
  while (waiting.length > 0 && waiting[0]!.at <= nowMs + 0.3) {
    const { to, bytes } = waiting.shift()!;
    writeFrame(to, bytes);
  }
  await turn();
}
