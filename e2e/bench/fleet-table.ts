// What `--simulate` prints: fleets of 10, 100 and 1,000 machines on two uplinks, boot stage included.
import { bound, type FleetCase, simulateFleet, unicast } from './fleet-model.ts';
import type { Plot } from './plot.ts';

const megabyte = 1e6;
const gigabit = 1e9 / 8;

/**
 * An installer as NixOS is expected to make it: 400 MB of store, and behind it the first part, NixOS's initrd with the agent; kernel and initrd of the
 * boot stage, which each machine gets from the controller. Bytes. In all eight seconds in which a machine boots and unpacks, as with the agent in the initrd.
 */
export const fleetImage = {
  imageBytes: 460 * megabyte,
  firstBytes: 60 * megabyte,
  bootBytes: 20 * megabyte,
  startSeconds: 6,
  unpackSeconds: 2,
};
/** The same when the agent is in the boot stage. */
export const agentInside = { imageBytes: 400 * megabyte, bootBytes: 45 * megabyte, startSeconds: 8 };

export function fleetCases(): readonly FleetCase[] {
  return [10, 100, 1000].flatMap((machines) =>
    [gigabit, 10 * gigabit].map((uplink) => ({ machines, uplink, machineLink: gigabit, ...fleetImage })),
  );
}

/** What a plot shows of a case. */
export interface FleetRow {
  readonly machines: number;
  readonly uplink_gbit: number;
  readonly unicast_s: number;
  readonly agent_inside_s: number;
  readonly fleet_s: number;
  readonly bound_s: number;
}

/** By number of machines, for one uplink. */
export function fleetPlot(rows: readonly FleetRow[], uplinkGbit: number): Plot {
  const curve = (name: string, key: 'unicast_s' | 'agent_inside_s' | 'fleet_s' | 'bound_s') => ({
    name,
    points: rows
      .filter((row) => row.uplink_gbit === uplinkGbit)
      .sort((a, b) => a.machines - b.machines)
      .map((row) => [row.machines, row[key]] as const),
  });
  return {
    title: `last machine has its installer, uplink of ${uplinkGbit} Gbit/s (simulated)`,
    x: 'machines',
    y: 'seconds',
    curves: [
      curve('all by unicast', 'unicast_s'),
      curve('agent in the initrd', 'agent_inside_s'),
      curve('boot stage of 20 MB', 'fleet_s'),
      curve('bound', 'bound_s'),
    ],
  };
}

/**
 * Lines of a Markdown table, or one object for each case, as they are made: the largest takes minutes.
 * @param onRow hears the numbers of each
 */
export function* simulatedTable(
  json: boolean,
  cases: readonly FleetCase[] = fleetCases(),
  onRow: (row: FleetRow) => void = () => {},
): Iterable<string> {
  if (!json) {
    yield '| machines | uplink, Gbit/s | all by unicast, s | agent in the initrd, s | boot stage of 20 MB, s | faster than unicast | bound, s | to the bound | sent by the controller, MB | of which boot stages |';
    yield '|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|';
  }
  for (const each of cases) {
    const { lastSeconds, originImageBytes, originBootBytes, complete } = simulateFleet(each);
    const inside = simulateFleet({ ...each, firstBytes: 0, unpackSeconds: 0, ...agentInside });
    const [whole, least] = [unicast(each), bound(each)];
    const row = {
      machines: each.machines,
      uplink_gbit: (each.uplink * 8) / 1e9,
      unicast_s: whole,
      agent_inside_s: inside.lastSeconds,
      fleet_s: lastSeconds,
      bound_s: least,
      faster: whole / lastSeconds,
      to_bound: lastSeconds / least,
      origin_images: originImageBytes / each.imageBytes,
      origin_boot_bytes: originBootBytes,
      complete,
    };
    onRow(row);
    yield json
      ? JSON.stringify({ bench: 'fleet', simulated: true, ...row })
      : `| ${[
          row.machines,
          row.uplink_gbit,
          row.unicast_s.toFixed(0),
          row.agent_inside_s.toFixed(1),
          row.fleet_s.toFixed(1),
          `${row.faster.toFixed(1)}×`,
          row.bound_s.toFixed(1),
          `${row.to_bound.toFixed(2)}×`,
          ((originImageBytes + originBootBytes) / 1e6).toFixed(0),
          (originBootBytes / 1e6).toFixed(0),
        ].join(' | ')} |`;
  }
}
