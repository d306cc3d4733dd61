// The field on which a fault strikes: a lab, Nixie's runs in it, and the moments that faults wait for.
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunEvent } from '../../controller/src/machine/event.ts';
import { type Stage, waySteps } from '../../controller/src/machine/stage.ts';
import { run } from '../lab/child.ts';
import { type DhcpServer, foreignDhcp } from '../lab/foreign-dhcp.ts';
import type { NixieRun } from '../lab/nixie-run.ts';
import { patienceMs } from '../lab/patience.ts';
import type { Machine } from '../lab/qemu.ts';
import { installLimitMs, type Scene } from '../lab/scenario.ts';

type StageEvent = Extract<RunEvent, { event: 'stage' }>;

export interface Strike {
  /** Date.now() */
  readonly at: number;
  readonly host: string;
  /** In which the machine was; undefined before its first. */
  readonly stage: Stage | undefined;
  /** When it is over the worst; default: the machine is in that stage again, or further. */
  readonly until?: Stage;
}

export class Field {
  readonly scene: Scene;
  readonly runs: NixieRun[] = [];
  readonly strikes: Strike[] = [];
  /** Undone when all is over, the last first. */
  readonly cleanups: (() => Promise<unknown>)[] = [];
  /** The LAN's own DHCP server, as long as it lives. */
  foreign: DhcpServer | undefined;
  /** Moments are waited for from here on, Date.now(). */
  since = 0;
  readonly #args: readonly string[];
  readonly #wrap: (argv: readonly string[]) => readonly string[];

  constructor(
    scene: Scene,
    args: readonly string[] = scene.args,
    wrap: (argv: readonly string[]) => readonly string[] = (argv) => argv,
  ) {
    this.scene = scene;
    this.foreign = scene.lab.foreign;
    this.#args = args;
    this.#wrap = wrap;
  }

  /** Starts Nixie, always with the same arguments and state. */
  start(): NixieRun {
    const { lab, supplies } = this.scene;
    const nix = (argv: readonly string[]) => supplies.nix(this.#wrap(argv));
    const started = lab.runNixie(this.#args, { nix, deadlineMs: installLimitMs });
    this.runs.push(started);
    return started;
  }

  /** The last one started. */
  get run(): NixieRun {
    const last = this.runs.at(-1);
    if (last === undefined) throw new Error('nixie was not started');
    return last;
  }

  machine(name = 'machine1'): Machine {
    const machine = this.scene.lab.machines[name];
    if (machine === undefined) throw new Error(`the lab has no ${name}`);
    return machine;
  }

  /** Of all runs, in order. */
  events(): RunEvent[] {
    return this.runs.flatMap((each) => each.events);
  }

  stages(host = 'machine1'): StageEvent[] {
    return this.events().filter((event): event is StageEvent => event.event === 'stage' && event.host === host);
  }

  /** The fault strikes now. */
  struck(host = 'machine1', until?: Stage): void {
    const stage = this.stages(host).at(-1)?.stage;
    this.strikes.push({ at: Date.now(), host, stage, ...(until === undefined ? {} : { until }) });
  }

  /** Waits until the machine enters this stage, or has. */
  async reached(stage: Stage, host = 'machine1'): Promise<void> {
    await this.#seen((event) => event.event === 'stage' && event.host === host && event.stage === stage);
  }

  async #seen(fits: (event: RunEvent) => boolean): Promise<void> {
    await this.run.waitEvent((event) => Date.parse(event.at) >= this.since && fits(event), installLimitMs);
  }

  /** Waits for a line of a machine's log: what nixos-anywhere prints, for one. */
  async logged(text: RegExp, host = 'machine1'): Promise<void> {
    await this.#seen((event) => event.event === 'log' && event.host === host && text.test(event.text));
  }

  /** Waits until the closure is on its way to the machine's disk, in a copy that began from here on. */
  async copying(host = 'machine1'): Promise<void> {
    await this.reached('copy', host);
    const began = Math.max(...this.stages(host).flatMap(({ stage, at }) => (stage === 'copy' ? [Date.parse(at)] : [])));
    await this.#seen(
      (event) =>
        event.event === 'progress' &&
        event.stage === 'copy' &&
        event.host === host &&
        (event.done_bytes ?? 0) > 0 &&
        Date.parse(event.at) >= began,
    );
  }

  /** A command in the installer of a machine, as the operator may give it. Tried again until the installer lets us in. */
  async inInstaller(command: string, host = 'machine1'): Promise<string> {
    const { lab, supplies } = this.scene;
    const address = this.stages(host).findLast((event) => event.address !== undefined)?.address;
    if (address === undefined) throw new Error(`nothing is known of where ${host} is`);
    const options = ['IdentitiesOnly=yes', 'BatchMode=yes', 'StrictHostKeyChecking=no', 'ConnectTimeout=10'];
    options.push('UserKnownHostsFile=/dev/null', 'GlobalKnownHostsFile=/dev/null', 'LogLevel=ERROR');
    const ssh = ['ssh', '-F', '/dev/null', '-i', supplies.keyFile, ...options.flatMap((each) => ['-o', each])];
    for (const end = performance.now() + 2 * patienceMs; ; await sleep(300)) {
      const ran = await run(lab.net.inside(lab.near, [...ssh, `root@${address}`, command]), { accept: true });
      if (ran.code === 0) return ran.stdout;
      // 255 is ssh's own: a command that ends sshd or the machine takes its connection along.
      if (ran.code !== 255 || performance.now() > end)
        throw new Error(`${command} in the installer of ${host}: ${ran.stderr.trim() || ran.code}`);
    }
  }

  /** Pulls the cable of a machine out, and puts it in again: its card loses the carrier and the switch's port goes down. */
  async unplug(milliseconds: number, host = 'machine1'): Promise<void> {
    const { net } = this.scene.lab;
    const machine = this.machine(host);
    const port = (state: 'up' | 'down') => run(['ip', '-n', net.lan, 'link', 'set', machine.tap, state]);
    await Promise.all([machine.monitor('set_link n0 off'), port('down')]);
    await sleep(milliseconds);
    await port('up');
    await machine.monitor('set_link n0 on');
  }

  /** Ends the LAN's own DHCP server. */
  async endForeignDhcp(): Promise<void> {
    await this.foreign?.stop();
    this.foreign = undefined;
  }

  /** Starts one that gives addresses with these last numbers. */
  async startForeignDhcp(from = 100, to = 199): Promise<void> {
    const server = await foreignDhcp(this.scene.lab.net, { ra: true, deadlineMs: 2 * installLimitMs, from, to });
    this.foreign = server;
    this.cleanups.push(() => server.stop());
  }

  /** Seconds from a strike until the machine was again as far as it had been, or further; else undefined. */
  recovery(strike: Strike): number | undefined {
    const order: readonly string[] = [...waySteps, 'unproved', 'proved', 'skipped'];
    const place = (stage: Stage | undefined) => (stage === undefined ? 0 : order.indexOf(stage));
    const back = this.stages(strike.host).find(
      (event) => Date.parse(event.at) > strike.at && place(event.stage) >= place(strike.until ?? strike.stage),
    );
    return back === undefined ? undefined : (Date.parse(back.at) - strike.at) / 1000;
  }

  async close(): Promise<void> {
    for (const undo of this.cleanups.splice(0).reverse()) await undo().catch(() => undefined);
  }
}
