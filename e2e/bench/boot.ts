// `npm run bench -- boot [--rounds N] [--firmware uefi|bios] [--only nixie|peer] [--json]`: one machine from power-on to a proved install by Nixie, against the same
// machine, kernel, initrd, store paths, disko and install driven by dnsmasq, nginx and a shell script. Order A B B A; medians.
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { closeLabsOnSignals, createLab } from '../lab/lab.ts';
import { resultsOf } from '../lab/later-runs.ts';
import { firmwareLab, needPrograms } from '../lab/need.ts';
import { lan, runId } from '../lab/net.ts';
import type { Firmware } from '../lab/qemu.ts';
import { diskSerial, makeSupplies, runArguments, type Supplies } from '../lab/supplies.ts';
import { readJournal } from '../lab/timeline.ts';
import { figureLines, median } from './figures.ts';
import { type BuiltLab, startPeer } from './peer.ts';

/** Seconds since power-on at which each was reached. */
type Reached = Record<string, number>;

const goal = 1.1;
const deadlineMs = 900_000;
const milestones = ['userspace', 'registered', 'disko', 'install', 'rebooting', 'booted', 'proved'] as const;

async function buildAll(supplies: Supplies): Promise<BuiltLab> {
  const build = async (attribute: string): Promise<string> => {
    const argv = ['nix', '--extra-experimental-features', 'nix-command flakes', 'build', '--no-link', '--json'];
    const told = await supplies.inStore([...argv, `${supplies.flake}#nixosConfigurations.${attribute}`]);
    return (JSON.parse(told) as { outputs: { out: string } }[])[0]!.outputs.out;
  };
  const bundle = await build('installer.config.system.build.nixie');
  const link = async (name: string): Promise<string> =>
    (await supplies.inStore(['readlink', '-f', `${bundle}/${name}`])).trim();
  return {
    kernel: supplies.onHost(await link('kernel')),
    initrd: supplies.onHost(await link('initrd')),
    kernelParams: (await supplies.inStore(['cat', `${bundle}/kernel-params`])).trim(),
    init: await link('init'),
    disko: await build('machine1.config.system.build.diskoScript'),
    toplevel: await build('machine1.config.system.build.toplevel'),
  };
}

async function round(who: 'nixie' | 'peer', firmware: Firmware, supplies: Supplies, built: BuiltLab): Promise<Reached> {
  const machines = [{ name: 'machine1', firmware, bootOrder: 'disk-first', diskSerial: diskSerial(0) }] as const;
  const lab = await createLab({ machines, dhcp: 'none', ra: true, deadlineMs: deadlineMs + 60_000 });
  try {
    const machine = lab.machines.machine1!;
    let at: Record<string, number> = {};
    let powerOn = 0;
    if (who === 'peer') {
      const peer = await startPeer(lab, supplies, built, deadlineMs);
      try {
        powerOn = Date.now();
        machine.powerOn();
        at = await peer.install(supplies, built);
      } finally {
        await peer.stop();
      }
    } else {
      const args = runArguments(supplies, lab.writeHosts(), join(lab.folder, 'known_hosts'));
      const range = `range=${lan.prefix}.100-${lan.prefix}.199`;
      const nixie = lab.runNixie([...args, '--dhcp', range, '--json'], { nix: supplies.nix, deadlineMs });
      if ((await nixie.status()) !== 0)
        throw new Error(`nixie failed: ${JSON.stringify(resultsOf(nixie))}\n${nixie.tail(20)}`);
      powerOn = lab.bmc.packets.find((packet) => packet.woke)?.at ?? 0;
      for (const { stage, at: when } of readJournal(lab.stateFolder, 'machine1'))
        if (stage !== undefined && when !== undefined) at[stage] ??= Date.parse(when);
      // Nixie's stages say what begins; the milestones of this bench say what is done.
      at = { ...at, disko: at.copy ?? at.install ?? 0, install: at.rebooting ?? 0 };
    }
    // The proof may come before the machine's own word.
    await machine.waitSerial(/NIXIE-STAGE booted/, 30_000);
    for (const [name, pattern] of [
      ['userspace', /NIXIE-STAGE userspace/],
      ['booted', /NIXIE-STAGE booted/],
    ] as const)
      at[name] = machine.serial.find((line) => pattern.test(line.text))?.at ?? Number.NaN;
    return Object.fromEntries(milestones.map((name) => [name, ((at[name] ?? Number.NaN) - powerOn) / 1000]));
  } catch (error) {
    throw new Error(`${who}: ${error instanceof Error ? error.message : error}\n${lab.story()}`, { cause: error });
  } finally {
    await lab.close();
  }
}

/** With --json standard output holds figures only. */
const say = (text: string): void => void process.stderr.write(`${text}\n`);

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '2' },
    firmware: { type: 'string', default: 'uefi' },
    only: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});
if (!['uefi', 'bios', 'http'].includes(values.firmware))
  throw new Error(`--firmware: ${values.firmware} is none of uefi, bios, http`);
if (values.only !== undefined && !['nixie', 'peer'].includes(values.only))
  throw new Error(`--only: ${values.only} is neither nixie nor peer`);
const rounds = Math.max(1, Math.min(10, Number(values.rounds) || 2));
const missing = [...firmwareLab, needPrograms(['nginx', 'nix', 'ssh'])]
  .map((need) => need())
  .filter((why) => why !== undefined);
if (missing.length > 0) {
  say(`bench boot: skipped: ${missing.join('; ')}`);
  process.exit(0);
}

const folder = join(tmpdir(), runId());
closeLabsOnSignals();
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

const firmware = values.firmware as Firmware;
const supplies = await makeSupplies(join(folder, 'operator'), ['machine1']);
say('bench boot: building the lab’s installer and machine');
const built = await buildAll(supplies);
const reached: { nixie: Reached[]; peer: Reached[] } = { nixie: [], peer: [] };
const sides =
  values.only === undefined ? (['nixie', 'peer', 'peer', 'nixie'] as const) : ([values.only] as ('nixie' | 'peer')[]);
const turns = Array.from({ length: rounds * 2 }, (_, i) => sides[i % sides.length]!);
for (const who of turns) {
  const seconds = await round(who, firmware, supplies, built);
  reached[who].push(seconds);
  say(`${who.padEnd(6)} ${milestones.map((name) => `${name} ${seconds[name]!.toFixed(1)}`).join('  ')}`);
}
say(
  `\nmedians, seconds since power-on (${firmware}, one machine; peer: dnsmasq full DHCP, nginx sendfile, ssh polled every 0.2 s)`,
);
say(`${''.padEnd(12)}${'nixie'.padStart(8)}${'peer'.padStart(8)}`);
for (const name of milestones) {
  const of = (who: 'nixie' | 'peer'): string =>
    median(reached[who].map((seconds) => seconds[name]!))
      .toFixed(1)
      .padStart(8);
  say(`${name.padEnd(12)}${of('nixie')}${of('peer')}`);
}
if (reached.nixie.length > 0 && reached.peer.length > 0) {
  const proved = (who: 'nixie' | 'peer'): number[] => reached[who].map((seconds) => seconds.proved!);
  const peer = 'dnsmasq, nginx and a shell script with the same parts';
  const figure = `power-on to proof (${firmware}), s`;
  const measured = [{ figure, values: proved('nixie'), peer, peerValues: proved('peer'), goal }];
  for (const line of figureLines('boot', measured, values.json)) console.log(line);
}
