// What `nixie status` prints of machines. Pure.
import type { Machine, MachineProgress, UnknownMachine } from '@nixie/proto/operator';
import type { RunEvent } from '../machine/event.ts';
import type { Mac } from '../machine/mac.ts';
import { ends, waySteps } from '../machine/stage.ts';
import { hostsLine, strangerText } from '../machine/stranger.ts';
import { perStage } from './table.ts';
import { cell, clean, clock, size, width } from './text.ts';

/** Each under a head, with the reason, where there is one, at the end; below it the time in each stage that it left. `now` in milliseconds. */
export function statusTable(machines: readonly Machine[], now: number): string[] {
  if (machines.length === 0) return ['this controller has no hosts'];
  const nameCells = Math.min(32, Math.max(4, ...machines.map(({ host }) => width(clean(host, 64)))));
  const row = (host: string, stage: string, since: string, address: string, agent: string, reason: string) =>
    `${cell(host, nameCells)} ${cell(stage, 10)} ${since.padStart(8)}  ${cell(address, 15)} ${cell(agent, 5)} ${reason}`.trimEnd();
  return [
    row('host', 'stage', 'since', 'address', 'agent', 'progress, or reason'),
    ...machines.flatMap((machine) => {
      const passed = perStage(machine.secondsPerStage);
      const line = row(
        clean(machine.host, 64),
        machine.stage,
        clock(Math.max(0, Math.round((now - Number(machine.stageSinceUnixMs)) / 1000))),
        clean(machine.address ?? '-', 64),
        machine.agentConnected === true ? 'yes' : '-',
        clean(
          machine.reason ??
            [waits(machine), headway(machine.progress), targets(machine)].filter((words) => words !== '').join('; '),
        ),
      );
      return passed === '' ? [line] : [line, `${' '.repeat(nameCells + 1)}${passed}`];
    }),
  ];
}

function waits({ waitsFor }: Machine): string {
  return waitsFor === undefined ? '' : `waits for ${waitsFor}`;
}

/** `43%, 61% of all, 112 MB/s, 1:05 left` */
function headway(progress: MachineProgress | undefined): string {
  if (progress === undefined) return '';
  const { percent, overallPercent, bytesPerSecond, etaSeconds, stalledSeconds, stalledWhy } = progress;
  const words = [`${percent}%`, `${overallPercent}% of all`];
  if (stalledSeconds !== undefined)
    return [...words, `stands still for ${clock(stalledSeconds)}: ${stalledWhy}`].join(', ');
  if (bytesPerSecond !== undefined) words.push(`${size(Number(bytesPerSecond))}/s`);
  if (etaSeconds !== undefined) words.push(`${clock(etaSeconds)} left`);
  return words.join(', ');
}

/** As a progress event has it. */
function headwayJson(progress: MachineProgress) {
  const number = (value: bigint | undefined) => (value === undefined ? undefined : Number(value));
  return {
    percent: progress.percent,
    overall_percent: progress.overallPercent,
    done_bytes: number(progress.doneBytes),
    total_bytes: number(progress.totalBytes),
    bytes_per_second: number(progress.bytesPerSecond),
    eta_seconds: progress.etaSeconds,
    stalled_seconds: progress.stalledSeconds,
    stalled_why: progress.stalledSeconds === undefined ? undefined : progress.stalledWhy,
  };
}

/** `disk /dev/sda (500.1 GB, S1)`: what is or was written to. */
function targets({ targetDisks }: Machine): string {
  const each = targetDisks.map(
    ({ path, sizeBytes, serial, wwn }) =>
      `${path} (${[size(Number(sizeBytes)), serial ?? wwn].filter(Boolean).join(', ')})`,
  );
  return each.length === 0 ? '' : `${each.length === 1 ? 'disk' : 'disks'} ${each.join('; ')}`;
}

/** What a view is told of a machine that it didn't see come this far. `now` in milliseconds. */
export function statusEvents(
  { host, stage, stageSinceUnixMs, reason, address, progress }: Machine,
  now: number,
): RunEvent[] {
  const known = [...waySteps, ...ends].find((each) => each === stage);
  if (known === undefined) return [];
  const at = new Date(Number(stageSinceUnixMs)).toISOString();
  const more = { ...(reason === undefined ? {} : { reason }), ...(address === undefined ? {} : { address }) };
  const events: RunEvent[] = [{ event: 'stage', at, host, stage: known, ...more }];
  if (progress !== undefined) {
    const numbers = JSON.parse(JSON.stringify(headwayJson(progress))) as ReturnType<typeof headwayJson>;
    events.push({ event: 'progress', at: new Date(now).toISOString(), host, stage: known, ...numbers } as RunEvent);
  }
  return events;
}

/** Machines of no hosts file, each with the line that would add it. */
export function unknownLines(unknown: readonly UnknownMachine[]): string[] {
  if (unknown.length === 0) return [];
  const each = unknown.map((machine) => {
    const stranger = { ...present(machine), mac: machine.mac as Mac };
    return `  ${clean(strangerText(stranger))}; in the hosts file: ${clean(hostsLine(stranger))}`;
  });
  return ['', 'asked to boot, and are in no hosts file:', ...each];
}

export function unknownJson(machine: UnknownMachine): string {
  const { mac, architecture, vendorClass, uuid, interface: at, firstSeenUnixMs, lastSeenUnixMs, asked } = machine;
  const iso = (ms: bigint) => new Date(Number(ms)).toISOString();
  return JSON.stringify({
    unknown_mac: mac,
    architecture,
    vendor_class: vendorClass,
    uuid,
    interface: at,
    relay: machine.relay,
    first_seen: iso(firstSeenUnixMs),
    last_seen: iso(lastSeenUnixMs),
    asked,
  });
}

/** Without the fields that are undefined. */
function present<T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as never;
}

/** As in `nixie --json`: snake case, times in ISO 8601, unknown is absent. */
export function statusJson(machine: Machine): string {
  const { host, macs, stage, stageSinceUnixMs, address, reason, toplevel, agentConnected } = machine;
  const since = new Date(Number(stageSinceUnixMs)).toISOString();
  const disks = machine.targetDisks.map(({ sizeBytes, ...disk }) => ({ ...disk, size_bytes: Number(sizeBytes) }));
  return JSON.stringify({
    host,
    macs,
    stage,
    since,
    address,
    reason,
    toplevel,
    agent_connected: agentConnected,
    relay: machine.relay,
    waits_for: machine.waitsFor,
    progress: machine.progress === undefined ? undefined : headwayJson(machine.progress),
    seconds: machine.secondsPerStage,
    target_disks: disks.length === 0 ? undefined : disks,
  });
}
