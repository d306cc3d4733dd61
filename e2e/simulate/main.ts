// `npm run simulate -- [--machines N] [--seed N] [--faults RATE] [--json]`
import { parseArgs } from 'node:util';
import { type SimulationResult, simulate } from './simulation.ts';

const usage = `usage: npm run simulate -- [--machines N] [--seed N] [--faults RATE] [--json] [--trace NAME]

Sends N machines (default 1000) through their whole life in one process, with a virtual clock and faults.
  --seed N       the same seed, machines and rate give the same run (default: another one each time)
  --faults RATE  0 to 1: share of machines with a fault of their own; lost packets and kills grow with it (default 0.5)
  --trace NAME   tell all that happens to one machine (m1, m2, …) on standard error
  --json         print the result as one JSON object
Exit status: 0 all promises were kept, 1 one was broken, 2 wrong usage.
`;

function number(name: string, text: string | undefined, fallback: number, good: (value: number) => boolean): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (text.trim() === '' || !good(value)) throw new Error(`--${name}: found ${JSON.stringify(text)}`);
  return value;
}

async function main(): Promise<number> {
  let values: { machines?: string; seed?: string; faults?: string; json?: boolean; trace?: string; help?: boolean };
  let options: { machines: number; seed: number; faults: number };
  try {
    ({ values } = parseArgs({
      options: {
        machines: { type: 'string' },
        seed: { type: 'string' },
        faults: { type: 'string' },
        json: { type: 'boolean' },
        trace: { type: 'string' },
        help: { type: 'boolean' },
      },
    }));
    if (values.help) {
      process.stdout.write(usage);
      return 0;
    }
    const whole = (most: number) => (value: number) => Number.isInteger(value) && value >= 0 && value <= most;
    options = {
      machines: number('machines', values.machines, 1000, (value) => whole(3000)(value) && value > 0),
      seed: number('seed', values.seed, Date.now() % 1_000_000, whole(2 ** 32)),
      faults: number('faults', values.faults, 0.5, (value) => value >= 0 && value <= 1),
    };
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${usage}`);
    return 2;
  }
  const began = performance.now();
  const result = await simulate({
    ...options,
    ...(values.trace === undefined ? {} : { traced: values.trace }),
    trace: (line) => void process.stderr.write(`${line.slice(0, 400)}\n`),
  });
  const seconds = (performance.now() - began) / 1000;
  const measured = {
    wallSeconds: seconds,
    peakRssBytes: process.resourceUsage().maxRSS * 1024,
    eventsPerSecond: Math.round(result.events / seconds),
  };
  process.stdout.write(values.json ? `${JSON.stringify({ ...result, ...measured })}\n` : report(result, measured));
  return result.broken === undefined ? 0 : 1;
}

function report(
  result: SimulationResult,
  {
    wallSeconds,
    peakRssBytes,
    eventsPerSecond,
  }: { wallSeconds: number; peakRssBytes: number; eventsPerSecond: number },
): string {
  const { machines, seed, faults, mode } = result;
  const sum = (counts: Readonly<Record<string, number>>) =>
    Object.values(counts).reduce((all, count) => all + count, 0);
  const happened = sum(result.faultsHappened);
  const afresh = sum(result.afterFreshBoot);
  const lines = [
    `${machines} machines, seed ${seed}, faults ${faults}, DHCP ${mode}`,
    '',
    'Ends',
    ...Object.entries(result.ends)
      .sort((a, b) => b[1] - a[1])
      .map(([end, count]) => `${String(count).padStart(6)}  ${end}`),
    '',
    'Reasons',
    ...result.reasons
      .filter(([reason]) => !/: $/.test(reason))
      .map(
        ([reason, count]) =>
          `${String(count).padStart(6)}  ${reason.length > 150 ? `${reason.slice(0, 149)}…` : reason}`,
      ),
    '',
    `${happened} faults of ${Object.keys(result.faultsHappened).length} kinds; the controller lived ${result.lives} times, its last life evaluated ${result.evaluations} and built ${result.builds} time`,
    `${afresh} machines had their installer booted afresh${afresh === 0 ? '' : `; of them ended ${counted(result.afterFreshBoot)}`}`,
    `most at once: ${counted(result.most)}`,
    `virtual time ${Math.floor(result.virtualSeconds / 60)} min, wall time ${wallSeconds.toFixed(1)} s, ${result.events} events (${eventsPerSecond}/s), peak memory ${Math.round(peakRssBytes / 1e6)} MB`,
    `hash of ${result.lines} lines: ${result.hash}`,
  ];
  if (result.broken !== undefined) {
    const { host, what, lately } = result.broken;
    lines.push(
      '',
      `BROKEN: ${host ?? 'the run'}: ${what}`,
      `again: npm run simulate -- --machines ${machines} --seed ${seed} --faults ${faults}`,
      ...lately.map((line) => `  ${line.slice(0, 400)}`),
    );
  }
  return `${lines.join('\n')}\n`;
}

function counted(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([what, count]) => `${what} ${count}`)
    .join(', ');
}

process.exitCode = await main();
