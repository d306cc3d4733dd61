// Runs the real Nixie on real firmware with a fault (or several, one after the other) and looks at what became of it.

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type Stage, waySteps } from '../../controller/src/machine/stage.ts';
import { diskDigest } from '../lab/disk-digest.ts';
import { resultsOf } from '../lab/later-runs.ts';
import { prove } from '../lab/proof.ts';
import { inScene, programsIn, programsLeft } from '../lab/scenario.ts';
import { type Expectation, type Fault, machine1 } from './fault.ts';
import { Field } from './field.ts';

export interface Outcome {
  /** What Nixie told of it: warnings, then each machine's end with its reason. */
  readonly happened: readonly string[];
  /** Seconds, of each strike; undefined: it never was as far again. */
  readonly recovery: readonly (number | undefined)[];
  /** Seconds from the first strike to the end of the run. */
  readonly toEnd: number;
  /** Data that nobody had consented to lose. */
  readonly lost: readonly string[];
  /** What isn't as expected. */
  readonly wrong: readonly string[];
}

const digestOf = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');

export interface Together {
  /** Default: of the first fault that has one. */
  readonly lab?: Fault['lab'];
  readonly args?: Fault['args'];
  /** Default: of the last one. */
  readonly expect?: Expectation;
  /** One after the other; else each waits for its own moment from the start. */
  readonly inTurn?: boolean;
  /** Looks at more when all is over. */
  readonly look?: (field: Field) => void | Promise<void>;
}

/** @throws Unexpected (as cause), and when the lab fails or a fault never finds its moment */
export async function strike(faults: readonly Fault[], together: Together = {}): Promise<Outcome> {
  const wish = together.lab ?? faults.find((fault) => fault.lab !== undefined)?.lab;
  const expect = together.expect ?? faults.at(-1)!.expect;
  const machines = (wish?.machines ?? [machine1]).map((machine) => ({ secondDisk: true, ...machine }));
  const hosts = wish?.hosts ?? machines.map(({ name }) => name);
  let outcome: Outcome | undefined;
  const hostKeys = wish?.hostKeys ?? {};
  const where = {
    ...(wish?.beyond === undefined ? {} : { beyond: wish.beyond }),
    ...(wish?.site === undefined ? {} : { site: wish.site }),
    ...(wish?.subnets === undefined ? {} : { subnets: wish.subnets }),
  };
  await inScene({ machines, hosts, hostKeys, ...where, dhcp: 'foreign', ra: true }, async (scene) => {
    const args = (together.args ?? faults.find((fault) => fault.args !== undefined)?.args)?.(scene);
    const wrapper = faults.find((fault) => fault.wrap !== undefined);
    const field = new Field(scene, args, (argv) => wrapper?.wrap?.(scene, argv) ?? argv);
    try {
      const all = Object.values(scene.lab.machines);
      const second = all.map((machine) => digestOf(machine.secondDisk));
      const blank = await Promise.all(all.map((machine) => diskDigest(machine.disk)));
      for (const fault of faults) await fault.before?.(field);
      await scene.lab.site?.start();
      field.start();
      // A run that ends before the moment of a fault ends the wait for it, too.
      if (together.inTurn === true)
        for (const fault of faults) {
          await fault.inject(field);
          field.since = Date.now();
        }
      else await Promise.all(faults.map((fault) => fault.inject(field)));
      const status = await field.run.status();
      const ended = Date.now();
      let wrong = await differences(field, status, expect, hosts);
      if (
        wrong.length > 0 &&
        expect.or !== undefined &&
        (await differences(field, status, expect.or, hosts)).length === 0
      )
        wrong = [];
      for (const { look } of [...faults, together]) await look?.(field);
      const lost = await losses(field, second, blank);
      const first = Math.min(...field.strikes.map(({ at }) => at));
      outcome = {
        happened: told(field, status),
        recovery: field.strikes.map((each) => field.recovery(each)),
        toEnd: (ended - first) / 1000,
        lost,
        wrong: lost.length === 0 ? wrong : [...wrong, `data lost: ${lost.join(', ')}`],
      };
      if (outcome.wrong.length > 0) throw new Unexpected(outcome);
    } finally {
      await field.close();
      // What a killed controller left when no other came after it.
      for (const pid of await programsIn(scene.lab.net.srv)) {
        try {
          process.kill(Number(pid), 'SIGKILL');
        } catch {
          // It ended by itself.
        }
      }
    }
  });
  return outcome!;
}

/** It came to another end than it must. */
export class Unexpected extends Error {
  readonly outcome: Outcome;
  constructor(outcome: Outcome) {
    super(`${outcome.wrong.join('; ')}\n${outcome.happened.join('\n')}`);
    this.name = 'Unexpected';
    this.outcome = outcome;
  }
}

async function differences(
  field: Field,
  status: number,
  expect: Expectation,
  hosts: readonly string[],
): Promise<string[]> {
  const wrong: string[] = [];
  if (status !== expect.status) wrong.push(`exit status ${status}, not ${expect.status}`);
  const results = resultsOf(field.run);
  const wanted: Readonly<Record<string, Stage>> =
    expect.results ?? Object.fromEntries(hosts.map((host) => [host, 'proved']));
  for (const host of new Set([...Object.keys(wanted), ...results.map((result) => result.host)])) {
    const result = results.find((each) => each.host === host)?.result;
    if (result !== wanted[host])
      wrong.push(`${host} ended as ${result ?? 'nothing'}, not ${wanted[host] ?? 'nothing'}`);
  }
  if (expect.says !== undefined) {
    if (!told(field, status).some((text) => expect.says!.test(text))) wrong.push(`nothing says ${expect.says}`);
  }
  for (const { host, result, address, toplevel } of results) {
    if (result !== 'proved' || address === undefined) continue;
    const { scene } = field;
    const proof = await prove(scene.lab, scene.supplies, field.machine(host), {
      address,
      knownHosts: scene.knownHosts,
    });
    if (proof.system !== toplevel || proof.hostname !== host)
      wrong.push(`${host} runs ${proof.system} as ${proof.hostname}, by its own word`);
  }
  const left = await programsLeft(field.scene.lab.net.srv);
  if (left.length > 0 && results.length > 0) wrong.push(`${left.length} programs of nixie run on`);
  return wrong;
}

/** The second disks hold what they held; a disk of a machine that never came to disko is blank; none was written to after its install. */
async function losses(field: Field, second: readonly string[], blank: readonly string[]): Promise<string[]> {
  const lost: string[] = [];
  for (const [i, machine] of Object.values(field.scene.lab.machines).entries()) {
    const { name } = machine.spec;
    if (digestOf(machine.secondDisk) !== second[i]) lost.push(`the second disk of ${name}`);
    const stages = field.stages(name).map(({ stage }) => stage);
    if (!stages.includes('disko')) {
      await machine.powerOff();
      if ((await diskDigest(machine.disk)) !== blank[i]) lost.push(`the disk of ${name}, which was never free`);
    }
    const mark = stages.indexOf('rebooting');
    if (mark >= 0 && stages.slice(mark).includes('disko')) lost.push(`the installed system of ${name}`);
  }
  return lost;
}

function told(field: Field, status: number): string[] {
  const events = field.events();
  const warnings = events.flatMap((event) => (event.event === 'notice' && event.level !== 'info' ? [event.text] : []));
  const ends = resultsOf(field.run).map(({ host, result, reason }) => {
    const began = field.stages(host).filter(({ stage }) => (waySteps as readonly string[]).indexOf(stage) === 5).length;
    const again = began > 1 ? ` after ${began} registrations` : '';
    return `${host} ${result}${again}${reason === undefined ? '' : `: ${reason}`}`;
  });
  const words =
    ends.length > 0 ? [] : field.run.lines.filter((line) => !line.startsWith('{') && line.trim() !== '').slice(-3);
  return [...new Set([...warnings, ...words])].concat(ends, `exit ${status}`);
}
