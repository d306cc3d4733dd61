// What happens to machines on a LAN with Nixie, told once: the lab acts it out here, and installer-nix/checks/story.nix in NixOS VM tests.
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ends, type Stage, waySteps } from '../../controller/src/machine/stage.ts';

export interface Story {
  readonly name: string;
  readonly about: string;
  /** only: Nixie is the DHCP server. beside: another is, that knows nothing of network boot. */
  readonly dhcp: 'only' | 'beside';
  /** Blank, off, the disk before the network in the firmware's order. */
  readonly machines: readonly {
    readonly name: string;
    readonly mac: string;
    readonly firmware: 'bios' | 'uefi';
    readonly diskSerial: string;
  }[];
  /** Keys of the hosts file beside the MAC. */
  readonly hosts: Readonly<Record<string, Record<string, unknown>>>;
  /** Nixie is run to its end, once for each; the first finds the machines off. */
  readonly runs: readonly {
    readonly status: number;
    readonly results: Readonly<Record<string, string>>;
    /** Stages that every machine passes, among others. */
    readonly passes?: readonly Stage[];
    /** Machines whose disks hold nothing afterwards. */
    readonly blank?: readonly string[];
  }[];
}

const stages: readonly string[] = [...waySteps, ...ends];

/** @throws Error that names the file and the place */
export function readStory(file: string, text = readFileSync(file, 'utf8')): Story {
  const story = { name: basename(file, '.json'), ...JSON.parse(text) } as Story;
  const want = (holds: boolean, what: string): void => {
    if (!holds) throw new Error(`${file}: ${what}`);
  };
  const keys = (place: string, value: object, accepted: readonly string[]): void => {
    for (const key of Object.keys(value)) want(accepted.includes(key), `${place}: found ${key}, accepted: ${accepted}`);
  };
  keys('a story', story, ['name', 'about', 'dhcp', 'machines', 'hosts', 'runs']);
  want(typeof story.about === 'string', 'about is missing');
  want(story.dhcp === 'only' || story.dhcp === 'beside', `dhcp: found ${story.dhcp}, accepted: only, beside`);
  want(story.machines.length > 0 && story.runs.length > 0, 'machines and runs are needed');
  for (const machine of story.machines) {
    keys('a machine', machine, ['name', 'mac', 'firmware', 'diskSerial']);
    want(/^52:54:00(?::[0-9a-f]{2}){3}$/.test(machine.mac), `mac: found ${machine.mac}`);
    want(['bios', 'uefi'].includes(machine.firmware), `firmware: found ${machine.firmware}`);
  }
  for (const run of story.runs) {
    keys('a run', run, ['status', 'results', 'passes', 'blank']);
    for (const stage of [...(run.passes ?? []), ...Object.values(run.results)])
      want(stages.includes(stage), `there is no stage ${stage}`);
  }
  const names = story.machines.map(({ name }) => name);
  for (const named of [story.hosts, ...story.runs.map(({ results }) => results)])
    for (const name of Object.keys(named)) want(names.includes(name), `there is no machine ${name}`);
  for (const name of story.runs.flatMap(({ blank = [] }) => blank)) want(names.includes(name), `there is no ${name}`);
  return story;
}

export function readStories(folder = import.meta.dirname): Story[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => readStory(join(folder, name)));
}
