// `npm run demo`: machines that are off, on a LAN in namespaces, become proved installs by the real `nixie` command.
import { existsSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stopAll } from './lab/child.ts';
import { type DemoOptions, demoUsage, readDemoOptions } from './lab/demo-options.ts';
import { createLab, type Lab } from './lab/lab.ts';
import { runForgetful, runOnceMore } from './lab/later-runs.ts';
import { firmwareLab } from './lab/need.ts';
import { lan, lan2 } from './lab/net.ts';
import type { NixieRun } from './lab/nixie-run.ts';
import { prove } from './lab/proof.ts';
import { siteSubnets } from './lab/relay/site.ts';
import { diskSerial, makeSupplies, runArguments, type Supplies } from './lab/supplies.ts';
import { printTimeline, readJournal, timeline } from './lab/timeline.ts';

const say = (text = ''): void => console.log(text);
const deadlineMs = 60 * 60_000;

let lab: Lab | undefined;
let running: NixieRun | undefined;
let interrupted: NodeJS.Signals | undefined;
let interruptedAt = 0;

// A terminal's Ctrl-C comes from the terminal and again from npm: within a second it is one.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (interrupted !== undefined && Date.now() - interruptedAt < 1000) return;
    const again = interrupted !== undefined;
    interrupted = signal;
    interruptedAt = Date.now();
    if (!again && running !== undefined) {
      running.signal(signal === 'SIGHUP' ? 'SIGTERM' : signal);
      return;
    }
    void Promise.race([again ? stopAll() : Promise.resolve(), sleep(5000)])
      .then(() => lab?.close())
      .finally(() => process.exit(signal === 'SIGINT' ? 130 : 143));
  });
}

async function showProof(supplies: Supplies, knownHosts: string): Promise<boolean> {
  let good = true;
  say('\nProof, without nixie: the operator logs in by SSH and trusts only the host keys that nixie proved');
  for (const [name, machine] of Object.entries(lab!.machines)) {
    const address = readJournal(lab!.stateFolder, name).findLast((line) => line.address !== undefined)?.address;
    try {
      if (address === undefined) throw new Error('nixie never learned an address of it');
      const proof = await prove(lab!, supplies, machine, { address, knownHosts });
      say(`  ${name} at ${address}: hostname ${proof.hostname}, kernel ${proof.kernel}, / is ${proof.root}`);
      say(`    runs      ${proof.system}`);
      say(`    printed   ${proof.serial.trim()}`);
      say(`    its disk  ${proof.partitions.join(', ')}`);
    } catch (error) {
      good = false;
      say(`  ${name}: NOT proved: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return good;
}

function showTimelines(): void {
  for (const machine of Object.values(lab!.machines)) {
    say(
      `\nTimeline of ${machine.spec.name} (${machine.spec.firmware}, ${machine.spec.mac}), seconds since its power-on`,
    );
    say(printTimeline(timeline(lab!, machine)));
  }
}

async function demo(options: DemoOptions): Promise<number> {
  const missing = firmwareLab.map((need) => need()).filter((why) => why !== undefined);
  if (missing.length > 0) {
    say(`the demo can't run here:\n  ${missing.join('\n  ')}`);
    return 3;
  }
  say('demo: preparing the lab’s flake from Debian’s packages (the first time: some minutes, later: seconds)');
  const names = options.firmware.map((_, i) => `machine${i + 1}`);
  lab = await createLab({
    machines: names.map((name, i) => ({
      name,
      firmware: options.firmware[i]!,
      bootOrder: 'disk-first',
      diskSerial: diskSerial(i),
    })),
    dhcp: options.dhcp === 'proxy' ? 'foreign' : 'none',
    ra: options.ra,
    ...(options.relay ? { site: 'apart', subnets: siteSubnets('rack7', options.dhcp === 'range') } : {}),
    deadlineMs,
    onWake: (machine, packet) => {
      // In a terminal nixie redraws its lines; ours would tear them.
      if (!process.stdout.isTTY) say(`lab: magic packet from ${packet.from}: ${machine.spec.name} powers on`);
    },
  });
  const supplies = await makeSupplies(join(lab.folder, 'operator'), names);
  const knownHosts = join(lab.folder, 'known_hosts');
  mkdirSync(lab.stateFolder, { recursive: true });
  const hosts = lab.writeHosts();
  const beside = options.dhcp === 'proxy' || options.relay;
  const dhcp = beside ? ['--dhcp', 'proxy'] : ['--dhcp', `range=${lan.prefix}.100-${lan.prefix}.199`];
  const args = [...runArguments(supplies, hosts, knownHosts), ...dhcp];

  say(
    `demo: ${names.length} machine(s), off, blank disks: ${names.map((name, i) => `${name} (${options.firmware[i]})`).join(', ')}`,
  );
  const { prefix, foreignDhcp } = options.relay ? lan2 : lan;
  say(
    `demo: the LAN ${prefix}.0/24 has ${options.dhcp === 'proxy' ? `a foreign DHCP server at ${foreignDhcp}` : 'no DHCP server'}, and ${options.ra ? 'an' : 'no'} IPv6 router`,
  );
  if (options.relay)
    say(
      `demo: nixie is at ${lan.nixie}, and there is no route between the two: only nixie relay has a card on each side`,
    );
  say(
    `demo: nixos-anywhere is ${supplies.nixosAnywhere.standIn ? 'the stand-in of the lab (none is on PATH)' : `the real one, ${supplies.nixosAnywhere.path}`}`,
  );
  if (lab.site !== undefined) {
    await lab.site.start();
    say(`\nlab# ${lab.site.process.child.argv.slice(lab.site.process.child.argv.indexOf('relay')).join(' ')}`);
  }
  say(`\n$ nixie ${args.join(' ')}\n`);
  const started = Date.now();
  running = lab.runNixie(args, { nix: supplies.nix, deadlineMs: deadlineMs - 60_000, output: 'inherit' });
  const status = await running.status();
  running = undefined;
  say(`\nnixie ended with ${status} after ${((Date.now() - started) / 1000).toFixed(0)} s`);
  if (interrupted !== undefined) return interrupted === 'SIGINT' ? 130 : 143;

  showTimelines();
  let good = true;
  if (lab.site !== undefined) {
    const { down, up } = await lab.site.uplinkBytes();
    const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
    say(
      `\nOver the relay's uplink went ${megabytes(down)} to the site and ${megabytes(up)} back, all of it in one TLS connection`,
    );
  }
  if (existsSync(knownHosts)) good = await showProof(supplies, knownHosts);
  if (status !== 0) say(`\nLast words of the machines\n${lab.story()}`);
  if (status !== 0 || !good) return status === 0 ? 1 : status;

  if (options.again) {
    say('\nA second run against the running machines: nothing may be woken or wiped');
    const again = await runOnceMore(lab, supplies, args);
    say(`  ${again.summary}`);
    good &&= again.good;
  }
  if (options.forgetful) {
    say('\nA run that remembers nothing, with the machines off and booting from the network first: it must refuse');
    const forgetful = await runForgetful(lab, supplies, args);
    say(`  ${forgetful.summary}`);
    good &&= forgetful.good;
  }
  return good ? 0 : 1;
}

const read = readDemoOptions(process.argv.slice(2));
if (typeof read === 'string') {
  say(read);
  process.exit(read === demoUsage ? 0 : 2);
}
let status = 1;
try {
  status = await demo(read);
} catch (error) {
  say(`demo: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  if (lab !== undefined) say(lab.story());
} finally {
  const kept = join(
    tmpdir(),
    `nixie-demo-${new Date()
      .toISOString()
      .replace(/[^0-9]/g, '')
      .slice(0, 14)}`,
  );
  await lab?.close(read.keep ? { keepFolder: kept } : {});
  if (read.keep && lab !== undefined) say(`\nkept: ${kept} (serial logs, capture, state, disks)`);
}
process.exit(status);
