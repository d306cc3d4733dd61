// `nixie doctor [HOST]`: from the trail of machines, why they came no further. The trail is that of the controller that runs; where none runs, of the
// journal in the state folder. Exit status: 0 nothing found, 1 findings, 2 no such host, 3 nothing to look at.
import * as grpc from '@grpc/grpc-js';
import { OperatorServiceClient, type TrailResponse } from '@nixie/proto/operator';
import type { Paint } from '../cli/colour.ts';
import { diagnosisLines } from '../cli/doctor-lines.ts';
import { type DoctorRequest, journalsOf } from '../cli/doctor-request.ts';
import { type ExitCode, exitCodes } from '../cli/exit-codes.ts';
import { clean } from '../cli/text.ts';
import { diagnose } from '../doctor/diagnose.ts';
import type { Entry, Trail } from '../doctor/trail.ts';
import { entryFields } from '../listen/trail-message.ts';
import type { Stage } from '../machine/stage.ts';
import { readEntry, readTrailFiles } from '../store/trail-log.ts';

export interface DoctorWorld {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly paint: Paint;
  /** Milliseconds of the wall clock. */
  readonly now: () => number;
}

type MachinesRequest = Extract<DoctorRequest, { of: 'machines' }>;

const answerMs = 10_000;
/** Of these nothing is to be found out. */
const wellEnded: readonly (Stage | undefined)[] = ['proved', 'skipped'];

interface Trails {
  readonly trails: readonly Trail[];
  /** Milliseconds of the wall clock at which they are judged. */
  readonly now: number;
  readonly from: 'controller' | 'journal';
}

export async function doctorMachines(request: MachinesRequest, world: DoctorWorld): Promise<ExitCode> {
  const { host, json } = request;
  const found = await trailsOf(request, world);
  if (typeof found === 'number') return found;
  const chosen = host === undefined ? found.trails.filter(unwell) : found.trails.filter((each) => each.host === host);
  if (host !== undefined && chosen.length === 0) {
    const names = found.trails.map((each) => clean(each.host, 64)).join(', ') || 'none';
    const where = found.from === 'controller' ? 'the run' : `the last run in ${request.stateDir}`;
    world.err(`nixie: doctor: ${where} has no host ${JSON.stringify(host)}; its hosts: ${names}\n`);
    return exitCodes.usage;
  }
  const diagnoses = chosen.map((trail) => diagnose(trail, found.now));
  if (json) for (const each of diagnoses) world.out(`${JSON.stringify({ ...each, from: found.from })}\n`);
  else {
    if (found.from === 'journal')
      world.out(`no controller runs; from its journal, which ends ${new Date(found.now).toISOString()}\n`);
    for (const each of diagnoses) world.out(`${diagnosisLines(each, world.paint).join('\n')}\n`);
    if (host === undefined && chosen.length === 0) world.out('every machine came to a good end\n');
  }
  return diagnoses.some(({ findings }) => findings.length > 0) ? exitCodes.failed : exitCodes.done;
}

function unwell({ stages }: Trail): boolean {
  return !wellEnded.includes(stages.at(-1)?.stage);
}

async function trailsOf(request: MachinesRequest, world: DoctorWorld): Promise<Trails | ExitCode> {
  const { socket, stateDir } = request;
  grpc.setLogVerbosity(grpc.logVerbosity.NONE);
  const client = new OperatorServiceClient(`unix:${socket}`, grpc.credentials.createInsecure());
  try {
    return { trails: await askController(client, request.host), now: world.now(), from: 'controller' };
  } catch (error) {
    const { code, details, message } = error as grpc.ServiceError;
    if (code === undefined) throw error;
    if (code !== grpc.status.UNAVAILABLE) {
      world.err(`nixie: ask the controller at ${socket}: ${clean(details || message)}\n`);
      return code === grpc.status.DEADLINE_EXCEEDED ? exitCodes.unable : exitCodes.failed;
    }
  } finally {
    client.close();
  }
  try {
    const { trails, last } = readTrailFiles(journalsOf(stateDir));
    if (trails.size > 0) return { trails: [...trails.values()], now: last, from: 'journal' };
    const journal =
      last > 0 ? `the last run in ${stateDir} came to no machine` : `there is no journal of a run in ${stateDir}`;
    world.err(`nixie: doctor: no controller answers at ${socket}, and ${journal}; is this its --state?\n`);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === 'EACCES' ? `this user may not read ${stateDir}; as root, or as the user of the run` : message;
    world.err(`nixie: doctor: no controller answers at ${socket}, and its journal can't be read: ${clean(why)}\n`);
  }
  return exitCodes.unable;
}

async function askController(client: OperatorServiceClient, host: string | undefined): Promise<Trail[]> {
  const soon = () => ({ deadline: Date.now() + answerMs });
  const names = await new Promise<string[]>((resolve, reject) =>
    client.list({}, new grpc.Metadata(), soon(), (error, answer) =>
      error === null ? resolve(answer.machines.map((machine) => machine.host)) : reject(error),
    ),
  );
  const trails: Trail[] = [];
  for (const name of names) {
    // Of the others only the names are wanted.
    if (host !== undefined && name !== host) trails.push({ host: name, stages: [], entries: [], around: [] });
    else trails.push(trailOf(name, await askTrail(client, name, soon())));
  }
  return trails;
}

function askTrail(client: OperatorServiceClient, host: string, soon: { deadline: number }): Promise<TrailResponse> {
  return new Promise((resolve, reject) =>
    client.trail({ host }, new grpc.Metadata(), soon, (error, answer) =>
      error === null ? resolve(answer) : reject(error),
    ),
  );
}

function trailOf(host: string, { stages, entries, around }: TrailResponse): Trail {
  const read = (list: TrailResponse['entries']): Entry[] => list.flatMap((each) => readEntry(entryFields(each)) ?? []);
  return {
    host,
    stages: stages.map(({ stage, atUnixMs, reason, address }) => ({
      stage: stage as Stage,
      at: Number(atUnixMs),
      ...(reason === undefined ? {} : { reason }),
      ...(address === undefined ? {} : { address }),
    })),
    entries: read(entries),
    around: read(around),
  };
}
