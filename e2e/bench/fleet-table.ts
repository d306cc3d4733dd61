// What `--simulate` prints: fleets of 10, 100 and 1,000 machines on two uplinks, boot stage included.
import { bound, type FleetCase, simulateFleet, unicast } from './fleet-model.ts';

const megabyte = 1e6;
const gigabit = 1e9 / 8;

/** Bytes: an installer as NixOS makes it, and what of it has to be there before anybody can be a peer. */
export const fleetImage = { imageBytes: 400 * megabyte, bootBytes: 45 * megabyte, startSeconds: 8 };

export function fleetCases(): readonly FleetCase[] {
  return [10, 100, 1000].flatMap((machines) =>
    [gigabit, 10 * gigabit].map((uplink) => ({ machines, uplink, machineLink: gigabit, ...fleetImage })),
  );
}

/** Lines of a Markdown table, or one object for each case, as they are made: the largest takes minutes. */
export function* simulatedTable(json: boolean, cases: readonly FleetCase[] = fleetCases()): Iterable<string> {
  if (!json) {
    yield '| machines | uplink, Gbit/s | all by unicast, s | as a fleet, s | faster | bound, s | to the bound | image sent by the controller |';
    yield '|---:|---:|---:|---:|---:|---:|---:|---:|';
  }
  for (const each of cases) {
    const { lastSeconds, originImageBytes, complete } = simulateFleet(each);
    const [whole, least] = [unicast(each), bound(each)];
    const row = {
      machines: each.machines,
      uplink_gbit: (each.uplink * 8) / 1e9,
      unicast_s: whole,
      fleet_s: lastSeconds,
      bound_s: least,
      faster: whole / lastSeconds,
      to_bound: lastSeconds / least,
      origin_images: originImageBytes / each.imageBytes,
      complete,
    };
    yield json
      ? JSON.stringify({ bench: 'fleet', simulated: true, ...row })
      : `| ${[
          row.machines,
          row.uplink_gbit,
          row.unicast_s.toFixed(0),
          row.fleet_s.toFixed(1),
          `${row.faster.toFixed(1)}×`,
          row.bound_s.toFixed(1),
          `${row.to_bound.toFixed(2)}×`,
          `${row.origin_images.toFixed(2)}×`,
        ].join(' | ')} |`;
  }
}
