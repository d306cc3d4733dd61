// `nixie doctor --interface NAME`: what stands in the way of a run, seen from this computer before it. Exit status: 0 nothing found, 1 problems,
// 3 no problems found, but a part could not be looked at.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Paint } from '../cli/colour.ts';
import { surveyJson, surveyLines } from '../cli/doctor-lines.ts';
import type { DoctorRequest } from '../cli/doctor-request.ts';
import { type ExitCode, exitCodes } from '../cli/exit-codes.ts';
import { unlooked } from '../doctor/obstacles.ts';
import { survey } from '../doctor/survey.ts';
import { probe } from '../listen/probe.ts';
import { lookAround } from '../survey.ts';

export interface SurveyCommandWorld {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly out: (text: string) => void;
  readonly paint: Paint;
}

type InterfacesRequest = Extract<DoctorRequest, { of: 'interfaces' }>;

/** @throws NoSuchInterface */
export async function doctorInterfaces(request: InterfacesRequest, world: SurveyCommandWorld): Promise<ExitCode> {
  const { interfaces, dhcp, ipxeDir, json } = request;
  const random = (bytes: number) => new Uint8Array(randomBytes(bytes));
  const facts = await lookAround(
    { interfaces, dhcp: dhcp.mode, ...(ipxeDir === undefined ? {} : { ipxeDir }) },
    { searchPath: world.env.PATH ?? '', probe: (name) => probe(name, { random, sleep }) },
  );
  const findings = survey(facts);
  const lines = json ? surveyJson(facts, findings) : surveyLines(facts, findings, world.paint);
  world.out(lines.map((line) => `${line}\n`).join(''));
  if (findings.some(({ level }) => level === 'problem')) return exitCodes.failed;
  return findings.some(({ id }) => unlooked.includes(id)) ? exitCodes.unable : exitCodes.done;
}
