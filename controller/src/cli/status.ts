// What `nixie status` prints of machines. Pure.
import type { Machine } from '@nixie/proto/operator';
import { cell, clean, clock, width } from './text.ts';

/** One line each under a head; the reason, where there is one, at the end. `now` in milliseconds. */
export function statusTable(machines: readonly Machine[], now: number): string[] {
  if (machines.length === 0) return ['this controller has no hosts'];
  const nameCells = Math.min(32, Math.max(4, ...machines.map(({ host }) => width(clean(host, 64)))));
  const row = (host: string, stage: string, since: string, address: string, agent: string, reason: string) =>
    `${cell(host, nameCells)} ${cell(stage, 10)} ${since.padStart(8)}  ${cell(address, 15)} ${cell(agent, 5)} ${reason}`.trimEnd();
  return [
    row('host', 'stage', 'since', 'address', 'agent', 'reason'),
    ...machines.map((machine) =>
      row(
        clean(machine.host, 64),
        machine.stage,
        clock(Math.max(0, Math.round((now - Number(machine.stageSinceUnixMs)) / 1000))),
        clean(machine.address ?? '-', 64),
        machine.agentConnected === true ? 'yes' : '-',
        clean(machine.reason ?? ''),
      ),
    ),
  ];
}

/** `web1: waking`, as the lines of a run. */
export function statusLine(machine: Machine): string {
  const address = machine.address === undefined ? '' : ` address=${machine.address}`;
  return clean(
    `${machine.host}: ${machine.stage}${address}${machine.reason === undefined ? '' : `: ${machine.reason}`}`,
  );
}

/** As in `nixie --json`: snake case, times in ISO 8601, unknown is absent. */
export function statusJson(machine: Machine): string {
  const { host, macs, stage, stageSinceUnixMs, address, reason, toplevel, agentConnected } = machine;
  const since = new Date(Number(stageSinceUnixMs)).toISOString();
  return JSON.stringify({ host, macs, stage, since, address, reason, toplevel, agent_connected: agentConnected });
}
