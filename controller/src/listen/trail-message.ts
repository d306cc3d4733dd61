// A trail as the operator's protocol has it.
import type { TrailEntry, TrailResponse } from '@nixie/proto/operator';
import type { Entry, Trail } from '../doctor/trail.ts';

export function trailMessage({ stages, entries, around }: Trail): TrailResponse {
  return {
    stages: stages.map(({ stage, at, reason, address }) => ({ stage, atUnixMs: big(at), reason, address })),
    entries: entries.map(entryMessage),
    around: around.map(entryMessage),
  };
}

function entryMessage(entry: Entry): TrailEntry {
  const { kind, attempt, first, last, count, why, detail, interface: link, asked, client, server, mac } = entry;
  const { port, done, total, blockSize, again, giaddr } = entry;
  const whole = (value: number | undefined) => (value === undefined ? undefined : big(value));
  return {
    ...{ kind, attempt, firstUnixMs: big(first), lastUnixMs: big(last), count, why, detail, interface: link },
    ...{ giaddr, asked, client, server, mac, port, done: whole(done), total: whole(total) },
    ...{ blockSizeBytes: blockSize, sentAgain: again },
  };
}

function big(value: number): bigint {
  return BigInt(Math.round(value));
}

/** The fields of an entry as the journal has them, for whoever reads both. */
export function entryFields(message: TrailEntry): Record<string, unknown> {
  const { firstUnixMs, lastUnixMs, done, total, blockSizeBytes, sentAgain, ...rest } = message;
  return {
    ...rest,
    first: Number(firstUnixMs),
    last: Number(lastUnixMs),
    ...(done === undefined ? {} : { done: Number(done) }),
    ...(total === undefined ? {} : { total: Number(total) }),
    blockSize: blockSizeBytes,
    again: sentAgain,
  };
}
