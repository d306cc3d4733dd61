// A whole lab in one call: LAN, foreign DHCP server, machines that are off, virtual BMC, capture. The demo and the scenarios run the real
// `nixie` command in it.
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Bmc, type MagicPacket, startBmc } from './bmc.ts';
import { type Capture, printDhcp, readDhcpCapture, startCapture } from './capture.ts';
import type { Child } from './child.ts';
import { type DhcpServer, foreignDhcp, foreignDhcpBeyond, routerBeyond, routerOnly } from './foreign-dhcp.ts';
import { lan, lan2, makeNetwork, type Network, runId } from './net.ts';
import { type NixieOptions, type NixieRun, startNixie } from './nixie-run.ts';
import { Machine, type MachineSpec } from './qemu.ts';
import { makeSite, type Site } from './relay/site.ts';
import { startRelay } from './relay.ts';

export interface LabOptions {
  /** `mac` defaults to 52:54:00:77:00:01 and so on. */
  readonly machines: readonly (Omit<MachineSpec, 'mac'> & { mac?: string })[];
  /** foreign: the LAN has a DHCP server that knows nothing of network boot. none: Nixie is the only one. */
  readonly dhcp: 'foreign' | 'none';
  /** The machines are in the second subnet, behind a router with a relay that knows nothing of Nixie and asks all DHCP servers of the first. */
  readonly beyond?: boolean;
  /** The machines are in the second subnet, behind `nixie relay`, which lies between the two. apart: nothing is routed. */
  readonly site?: 'routed' | 'apart';
  /** `$subnets` of the hosts file. */
  readonly subnets?: readonly Readonly<Record<string, string>>[];
  /** An IPv6 router is there; without one the platform's iPXE waits some 13 s longer. */
  readonly ra: boolean;
  /** After this the lab's children end by themselves. */
  readonly deadlineMs: number;
  readonly onWake?: (machine: Machine, packet: MagicPacket) => void;
}

export interface Lab {
  /** `lan` is where the machines are. */
  readonly net: Network;
  /** The relay of the router, when the machines are beyond one. */
  readonly relay?: Child;
  /** With `site`: its relay, which doesn't run yet. */
  readonly site?: Site;
  /** Namespace from which the machines are reached without Nixie's help. */
  readonly near: string;
  readonly machines: Readonly<Record<string, Machine>>;
  readonly bmc: Bmc;
  readonly foreign?: DhcpServer;
  readonly capture: Capture;
  /** Of this lab: removed by `close` unless told otherwise. */
  readonly folder: string;
  /** Where `runNixie` keeps Nixie's state, unless `--state` is among its arguments. */
  readonly stateFolder: string;
  /** Writes a hosts file for these machines (default: all), with more keys per machine. Returns its path. */
  writeHosts(names?: readonly string[], more?: Readonly<Record<string, Record<string, unknown>>>): string;
  /** The real command, in the server's namespace. */
  runNixie(args: readonly string[], options: NixieOptions): NixieRun;
  /** For a failure's message: what each machine printed last, what was on the wire, what Nixie said last. */
  story(): string;
  /** `keepFolder`: where the folder is moved to. */
  close(options?: { keepFolder?: string }): Promise<void>;
}

const open = new Set<() => Promise<void>>();

/** For programs and tests that have nothing else to do on a signal: labs are taken down, then the process ends as signals make it end. */
export function closeLabsOnSignals(): void {
  for (const [signal, status] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.once(signal, () => {
      void Promise.allSettled([...open].map((close) => close())).finally(() => process.exit(status));
    });
  }
}

/** Machines are off, nothing of Nixie runs yet. Throws only after everything made so far is gone again. */
export async function createLab(options: LabOptions): Promise<Lab> {
  const { deadlineMs } = options;
  const folder = join(tmpdir(), runId());
  const stateFolder = join(folder, 'state');
  mkdirSync(stateFolder, { recursive: true, mode: 0o700 });
  const ends: (() => Promise<unknown>)[] = [];
  const runs: NixieRun[] = [];
  let closed: Promise<void> | undefined;
  const closeAll = async (keepFolder: string | undefined): Promise<void> => {
    await Promise.all(runs.map((run) => run.stop()));
    for (const end of ends.reverse()) await end().catch(() => {});
    open.delete(close);
    if (keepFolder !== undefined) renameSync(folder, keepFolder);
    else rmSync(folder, { recursive: true, force: true });
  };
  const close = (how: { keepFolder?: string } = {}): Promise<void> => {
    closed ??= closeAll(how.keepFolder);
    return closed;
  };
  open.add(close);
  try {
    const { beyond = false, site: how } = options;
    const far = beyond || how !== undefined;
    const whole = await makeNetwork({
      second: far,
      directedBroadcast: beyond,
      apart: how === 'apart',
      dhcpBeyond: how !== undefined,
    });
    ends.push(() => whole.close());
    const net = far ? { ...whole, lan: whole.lan2! } : whole;
    const capture = await startCapture(net, join(folder, 'lan.pcap'), { deadlineMs });
    ends.push(() => capture.stop());
    const foreign = await networkServers(whole, options);
    for (const server of Object.values(foreign)) ends.push(() => server.stop());
    const servers = [lan.nixie, ...(options.dhcp === 'foreign' ? [lan.foreignDhcp] : [])];
    const relay = beyond ? await startRelay(whole, { servers, deadlineMs }) : undefined;
    if (relay !== undefined) ends.push(() => relay.stop());
    const site = how === undefined ? undefined : makeSite(whole, { folder, stateFolder, deadlineMs });
    if (site !== undefined) ends.push(() => site.close());
    const machines: Record<string, Machine> = {};
    for (const [i, spec] of options.machines.entries()) {
      const mac = spec.mac ?? `52:54:00:77:00:${(i + 1).toString(16).padStart(2, '0')}`;
      const machine = new Machine(net, { ...spec, mac }, folder, `tap${i}`);
      await net.addTap(machine.tap, net.lan);
      if (spec.secondCard !== undefined) await net.addTap(machine.secondTap, net.lan);
      await machine.prepare();
      machines[spec.name] = machine;
    }
    ends.push(() => Promise.all(Object.values(machines).map((machine) => machine.close())));
    const bmc = await startBmc(net, Object.values(machines), {
      deadlineMs,
      ...(options.onWake === undefined ? {} : { onWake: options.onWake }),
    });
    ends.push(() => bmc.stop());

    return {
      net,
      machines,
      bmc,
      ...(foreign.dhcp === undefined ? {} : { foreign: foreign.dhcp }),
      ...(relay === undefined ? {} : { relay }),
      ...(site === undefined ? {} : { site }),
      near: how === 'apart' ? whole.rt! : whole.srv,
      capture,
      folder,
      stateFolder,
      writeHosts(names = Object.keys(machines), more = {}) {
        const file = join(folder, 'hosts.json');
        const there = site === undefined ? {} : { relay: site.name };
        const hosts = names.map(
          (name) => [name, { mac_address: machines[name]?.spec.mac, ...there, ...more[name] }] as const,
        );
        const declared = options.subnets === undefined ? {} : { $subnets: options.subnets };
        writeFileSync(file, `${JSON.stringify({ ...declared, ...Object.fromEntries(hosts) }, null, 2)}\n`);
        return file;
      },
      runNixie(args, how) {
        const state = args.includes('--state') || how.plain === true ? [] : ['--state', stateFolder];
        const run = startNixie(net, [...args, ...state], how);
        runs.push(run);
        return run;
      },
      story() {
        const told = Object.values(machines).map(
          (machine) =>
            `${machine.spec.name} (${machine.on ? 'on' : 'off'}, power-on ${machine.boots}):\n${machine.tail(40)}`,
        );
        let wire = '  (no capture)';
        try {
          wire = printDhcp(readDhcpCapture(capture.file).slice(-40));
        } catch {
          // the file may not be there yet
        }
        const said = runs.map((run) => `nixie said last:\n${run.tail(40)}`);
        const between = site === undefined ? [] : [`nixie relay said last:\n${site.tail(30)}`];
        return [...told, `DHCP on the LAN, last packets:\n${wire}`, ...between, ...said].join('\n');
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The LAN's own servers: DHCP, and a router for IPv6, which may be one program. */
async function networkServers(
  net: Network,
  { beyond, site, dhcp, ra, deadlineMs }: LabOptions,
): Promise<{ dhcp?: DhcpServer; router?: DhcpServer }> {
  if (beyond === true)
    return {
      ...(dhcp === 'foreign' ? { dhcp: await foreignDhcpBeyond(net, { deadlineMs }) } : {}),
      ...(ra ? { router: await routerBeyond(net, { deadlineMs }) } : {}),
    };
  const { prefix } = site === undefined ? lan : lan2;
  if (dhcp === 'foreign') return { dhcp: await foreignDhcp(net, { ra, deadlineMs, prefix }) };
  return ra ? { router: await routerOnly(net, { deadlineMs }) } : {};
}
