// A flood of strangers, from a generator that isn't ours, must not hide a machine of ours: it is answered as soon as its firmware needs it, and
// the memory stays where it was.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before, describe } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Ran, run } from '../lab/child.ts';
import { needNetns, needPrograms, skipUnless } from '../lab/need.ts';
import type { DoorsArguments } from '../lab/sockets/doors.ts';
import { ovmf } from '../lab/sockets/firmware-packets.ts';
import { writeFlood } from '../lab/sockets/flood-pcap.ts';
import { startTalker, type Talker } from '../lab/sockets/talker.ts';
import { lan1, lan2, makeTwoLans, type TwoLans } from '../lab/sockets/two-lans.ts';

const skip = skipUnless(needNetns, needPrograms(['ip', 'setpriv', 'nice', 'tcpreplay']));
const known = '52:54:00:91:00:01';
const stranger = '52:54:00:91:00:99';
const perSecond = 20_000;
/** What the generator must reach where the computer is too slow for that: still many times what a LAN has. */
const leastPerSecond = 5000;
const seconds = 10;
const asks = 50;
const promptlyMs = 500;
/** That are answered, but not promptly. */
const mostLate = 0.05 * asks;
/** The firmware's own patience before it asks again. */
const againAfterMs = 1000;
const growthLimitBytes = 100 << 20;

/** Resident memory, and processor time by thread. */
function usage(pid: number): { rssBytes: number; cpuMs: Record<string, number> } {
  const kib = Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]);
  const cpuMs: Record<string, number> = {};
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const fields = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1').split(') ')[1]!.split(' ');
    cpuMs[thread] = (Number(fields[11]) + Number(fields[12])) * 10; // ticks of a hundredth, utime and stime
  }
  return { rssBytes: kib * 1024, cpuMs };
}

interface Asked {
  readonly byAsk: 1 | 2 | undefined;
  readonly tookMs: number;
}

describe('a flood from random MACs', { skip, timeout: 400_000 }, () => {
  let lans: TwoLans;
  let folder: string;
  let doors: Talker;
  let station: Talker;
  const file = (name: string): string => new URL(`../lab/sockets/${name}`, import.meta.url).pathname;
  const node = (namespace: string, name: string, argument: string): string[] =>
    lans.inside(namespace, [process.execPath, file(name), argument]);

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'nixie-load-'));
    writeFlood(join(folder, 'flood.pcap'), Buffer.from(ovmf('DISCOVER', known), 'hex'), perSecond * seconds);
    lans = await makeTwoLans();
    const given: DoorsArguments = {
      interfaces: [{ name: lan1.name, address: lan1.server, dhcp: 'proxy' }],
      machines: { [known]: '10.91.1.77' },
      loaders: { 'snponly.efi': '/dev/null', 'undionly.kpxe': '/dev/null' },
    };
    doors = await startTalker(node(lans.server, 'doors.ts', JSON.stringify(given)));
    station = await startTalker(node(lans.station1, 'station.ts', '68,4011'));
  });

  after(async () => {
    await Promise.all([doors, station].map((talker) => talker?.stop()));
    await lans?.close();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });

  /** Asks as firmware does: again after a second with the same xid, then no more. Milliseconds until the answer to each ask, or undefined. */
  async function askAsFirmware(xid: number): Promise<Asked> {
    const packet = Buffer.from(ovmf('DISCOVER', known), 'hex');
    packet.writeUInt32BE(xid, 4);
    const hex = packet.toString('hex');
    const answers = ({ hex: heard }: Record<string, unknown>) => String(heard).slice(8, 16) === hex.slice(8, 16);
    let firstAtMs: number | undefined;
    for (const byAsk of [1, 2] as const) {
      const { atMs } = await station.ask({ hex, fromPort: 68, to: '255.255.255.255', port: 67 });
      firstAtMs ??= Number(atMs);
      try {
        const offer = await station.hear('the offer', answers, againAfterMs);
        return { byAsk, tookMs: Number(offer.atMs) - firstAtMs };
      } catch {
        // asked again
      }
    }
    return { byAsk: undefined, tookMs: Number.POSITIVE_INFINITY };
  }

  /** Datagrams that the kernel threw away for want of room, by the sockets of the DHCP doors. */
  async function kernelDrops(): Promise<number> {
    const { stdout } = await run(lans.inside(lans.server, ['cat', '/proc/net/udp']));
    const lines = stdout.split('\n').filter((line) => /^\s*\d+: [0-9A-F]{8}:(0043|0FAB) /.test(line));
    assert.equal(lines.length, 4);
    return lines.reduce((sum, line) => sum + Number(line.trim().split(/\s+/).at(-1)), 0);
  }

  let nextXid = 0x10_0000;
  /** Ten seconds of strangers, and a machine of ours that asks all the while. */
  async function flood(): Promise<{ results: Asked[]; said: Ran; floodMs: number }> {
    const argv = ['tcpreplay', '-q', '-i', 'eth0', '--pps', String(perSecond), join(folder, 'flood.pcap')];
    const startedAtMs = performance.now();
    const flooding = run(lans.inside(lans.station1, ['nice', '-n', '10', ...argv]), { deadlineMs: 120_000 });
    const everyMs = (seconds * 1000) / asks;
    const taken = Array.from({ length: asks }, async (_, index) => {
      await sleep((index + 0.5) * everyMs);
      return askAsFirmware(nextXid++);
    });
    const said = await flooding;
    const floodMs = performance.now() - startedAtMs;
    return { results: await Promise.all(taken), said, floodMs };
  }

  test('20,000 DISCOVERs a second for ten seconds: a machine of ours is answered in time, memory stays bounded', async () => {
    assert.notEqual((await askAsFirmware(1)).byAsk, undefined);
    const idle = usage(doors.child.pid);
    let peakBytes = idle.rssBytes;
    const watching = setInterval(() => {
      peakBytes = Math.max(peakBytes, usage(doors.child.pid).rssBytes);
    }, 100);

    const lateOf = (results: Asked[]) => results.filter(({ tookMs }) => tookMs > promptlyMs).length;
    const stoodStill = (results: Asked[]) =>
      lateOf(results) > mostLate || results.some(({ byAsk }) => byAsk === undefined);
    // All of a computer may stand still for a second, and each of the machine's asks of that second is late then: who is slow is slow each time.
    let { results, said, floodMs } = await flood();
    for (let tries = 1; tries < 3 && stoodStill(results); tries++) ({ results, said, floodMs } = await flood());
    clearInterval(watching);

    const { dhcp } = (await doors.ask({ do: 'counters' })) as { dhcp: Record<string, number> };
    const busy = usage(doors.child.pid);
    const dropped = await kernelDrops();
    const rate = Number(/Rated: .*, ([\d.]+) pps/.exec(said.stdout)?.[1]);
    const late = lateOf(results);
    const second = results.filter(({ byAsk }) => byAsk === 2).length;
    const times = results.map(({ tookMs }) => tookMs).sort((a, b) => a - b);
    const threads = Object.entries(busy.cpuMs)
      .map(([thread, ms]) => ms - (idle.cpuMs[thread] ?? 0))
      .sort((a, b) => b - a);
    console.log(
      [
        `flood: ${rate} packets/s for ${(floodMs / 1000).toFixed(1)} s`,
        `answers: median ${times[asks / 2]!.toFixed(1)} ms, slowest ${times.at(-1)!.toFixed(1)} ms, ${late} of ${asks} after ${promptlyMs} ms, ${second} by the second ask`,
        `memory: ${(idle.rssBytes / 1048576).toFixed(0)} MiB before, ${((peakBytes - idle.rssBytes) / 1048576).toFixed(1)} MiB more at most`,
        `counted: ${JSON.stringify(dhcp)}, thrown away by the kernel: ${dropped}`,
        `processor: ${threads.slice(0, 3).join(' + ')} ms of the busiest threads`,
      ].join('\n'),
    );
    assert.ok(rate > leastPerSecond, said.stdout);
    assert.deepEqual(
      results.filter(({ byAsk }) => byAsk === undefined),
      [],
    );
    assert.ok(late <= mostLate, `${late} late`);
    assert.ok(peakBytes - idle.rssBytes <= growthLimitBytes, `${peakBytes - idle.rssBytes} bytes more`);
    // Whatever was not answered is in one of the counters, and the operator is told.
    const { received, kernelDropped, ...fates } = dhcp;
    assert.equal(
      Object.values(fates).reduce((sum, count) => sum + count, 0),
      received,
    );
    assert.equal(kernelDropped, dropped);
    assert.ok(fates.strangersDropped! > 0.5 * received!);
    const word = await doors.hear('the flood', ({ seen }) => (seen as { kind?: string })?.kind === 'dhcp-flood');
    assert.match(
      (word.seen as { detail: string }).detail,
      /^\d+ packets of machines that are not listed were not looked at/,
    );
  });

  test('afterwards all is as before: ours is answered at both doors, a stranger is seen', async () => {
    station.heard.splice(0);
    doors.heard.splice(0);
    let offer = await askAsFirmware(2);
    // Late once, on a computer that is busy with other things.
    for (let xid = 3; xid < 8 && offer.tookMs > promptlyMs; xid++) offer = await askAsFirmware(xid);
    assert.equal(offer.byAsk, 1);
    assert.ok(offer.tookMs <= promptlyMs, `${offer.tookMs} ms`);
    await station.ask({ hex: ovmf('boot server REQUEST', known), fromPort: 4011, to: lan1.server, port: 4011 });
    const ack = await station.hear('the boot server', ({ port }) => port === 4011);
    assert.deepEqual([ack.from, ack.fromPort], [lan1.server, 4011]);
    await station.ask({ hex: ovmf('DISCOVER', stranger), fromPort: 68, to: '255.255.255.255', port: 67 });
    const line = await doors.hear('the stranger', ({ seen }) => (seen as { mac?: string })?.mac === stranger);
    const { stranger: _about, ...seen } = line.seen as Record<string, unknown>;
    assert.deepEqual(seen, {
      kind: 'dhcp-silent',
      why: 'unknown machine',
      mac: stranger,
      interface: lan1.name,
      port: 67,
      asked: 'DISCOVER',
      client: 'pxe',
    });
    // An answer to who asked again may be here too; none to the stranger is.
    const ours = known.replaceAll(':', '');
    assert.deepEqual(
      station.heard.filter(({ port, hex }) => port !== 68 || String(hex).slice(56, 68) !== ours),
      [],
    );
  });

  test('who may not raise its buffers is told once how much there is, with the setting', async () => {
    const argument = {
      interfaces: [{ name: 'eth0', address: lan2.station, dhcp: 'proxy' }],
      machines: {},
      loaders: {},
    };
    const argv = [process.execPath, file('doors.ts'), JSON.stringify(argument)];
    const told = async (as: readonly string[]): Promise<unknown[]> => {
      const { stdout } = await run(lans.inside(lans.station2, [...as, ...argv]), { input: '' });
      const lines = stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>);
      assert.ok(
        lines.some(({ ready, error }) => ready === true && error === undefined),
        stdout,
      );
      return lines.flatMap(({ notice }) => (notice === undefined ? [] : [notice]));
    };
    assert.deepEqual(await told([]), []);
    const allowed = Number(readFileSync('/proc/sys/net/core/rmem_max', 'utf8'));
    const notices = await told(['setpriv', '--inh-caps=-net_admin', '--bounding-set=-net_admin']);
    assert.equal(notices.length, allowed < 8 << 20 ? 1 : 0);
    for (const notice of notices)
      assert.match(String(notice), /not the 8 MiB asked for.*sysctl -w net\.core\.rmem_max=8388608$/);
  });
});
