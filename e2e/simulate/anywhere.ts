// nixos-anywhere as the controller sees it: a child that prints lines, writes to a disk somewhere and ends. Its words are those of recorded runs.
import { Readable } from 'node:stream';
import type { ChildRequest, ChildSystem, SpawnedChild } from '../../controller/src/child/child.ts';
import type { Machine } from './machine.ts';
import type { Network } from './network.ts';
import { kernelPath } from './nix.ts';
import type { Random } from './random.ts';

/** What the controller put into the files of this child. */
export interface ChildFiles {
  /** Key that the shim pins. */
  readonly pinned: string | undefined;
  /** Host key among the extra files. */
  readonly staged: string | undefined;
}

interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Thrown by a step that ends the child. */
class Exit extends Error {
  readonly status: number;
  constructor(status: number) {
    super(`exit ${status}`);
    this.status = status;
  }
}

export class Child implements SpawnedChild {
  readonly pid: number;
  readonly output = new Readable({ read() {} });
  readonly abort = new AbortController();
  /** Its reader is gone: the next line kills it. */
  orphan = false;
  #exit: (status: number | null, signal: NodeJS.Signals | null) => void = () => {};
  #close: () => void = () => {};
  #ended = false;

  readonly #after: ChildSystem['after'];

  constructor(pid: number, after: ChildSystem['after']) {
    this.pid = pid;
    this.#after = after;
  }

  onError(): void {}
  onExit(call: (status: number | null, signal: NodeJS.Signals | null) => void): void {
    this.#exit = call;
  }
  onClose(call: () => void): void {
    this.#close = call;
  }

  say(text: string): void {
    if (this.orphan) throw new Exit(141);
    if (!this.#ended) this.output.push(`${text}\n`);
  }

  end({ status, signal }: Ended): void {
    if (this.#ended) return;
    this.#ended = true;
    this.abort.abort();
    if (this.orphan) return;
    this.output.push(null);
    this.#after(1, () => {
      this.#exit(status, signal);
      this.#close();
    });
  }
}

export interface AnywhereWorld {
  readonly network: Network;
  readonly random: Random;
  /** Number of the controller's life that starts it. */
  readonly life: number;
  files(argv: readonly string[], env: Readonly<Record<string, string>>): ChildFiles;
  after: ChildSystem['after'];
}

export class Anywhere implements ChildSystem {
  readonly #world: AnywhereWorld;
  readonly #children = new Map<number, Child>();
  /** A folder without processes: the children here are none of the kernel's. */
  readonly proc = '/proc/self/ns';
  most = 0;
  #pids = 1_000_000_000;

  constructor(world: AnywhereWorld) {
    this.#world = world;
  }

  now(): number {
    return this.#world.network.lan.clock.ticks;
  }

  after(ms: number, call: () => void): () => void {
    return this.#world.after(ms, call);
  }

  kill = (group: number, signal: NodeJS.Signals): void => {
    const child = this.#children.get(-group);
    if (child === undefined) return;
    // It ends a moment after the signal, as a real one.
    this.#world.network.lan.clock.after(50, () => child.end({ status: null, signal }));
  };

  /** The controller was killed: its children live until they want to say something. */
  orphan(): void {
    for (const child of this.#children.values()) child.orphan = true;
  }

  spawn({ argv, env }: ChildRequest): SpawnedChild {
    const child = new Child(++this.#pids, this.#world.after);
    this.#children.set(child.pid, child);
    this.most = Math.max(this.most, this.#children.size);
    void this.#run(child, argv, env).then((status) => {
      this.#children.delete(child.pid);
      child.end({ status, signal: null });
    });
    return child;
  }

  async #run(child: Child, argv: readonly string[], env: Readonly<Record<string, string>>): Promise<number> {
    try {
      const word = (name: string) => argv[argv.indexOf(name) + 1]!;
      const phase = word('--phases');
      const address = word('--target-host').replace(/^root@/, '');
      const toplevel = argv[argv.indexOf('--store-paths') + 2]!;
      const step = new Steps(this.#world, child, address, this.#world.files(argv, env));
      const { clock, witness } = this.#world.network.lan;
      const beganAt = clock.ticks;
      const { machine, key } = await step.connect();
      witness.moment(machine.host.name, `${phase} began`, beganAt);
      if (phase === 'disko') await step.disko(machine, key);
      else if (phase === 'install') await step.install(machine, key, toplevel);
      else await step.reboot(machine, key);
      child.say('### Done! ###');
      witness.moment(machine.host.name, `${phase} done`);
      return 0;
    } catch (error) {
      if (error instanceof Exit) return error.status;
      this.#world.network.lan.witness.holds(false, undefined, `the simulated child: ${(error as Error).stack}`);
      return 1;
    }
  }
}

/** One child's way through its steps. */
class Steps {
  readonly #world: AnywhereWorld;
  readonly #child: Child;
  readonly #address: string;
  readonly #files: ChildFiles;

  constructor(world: AnywhereWorld, child: Child, address: string, files: ChildFiles) {
    this.#world = world;
    this.#child = child;
    this.#address = address;
    this.#files = files;
  }

  async #wait(seconds: number): Promise<void> {
    await this.#world.network.lan.clock.sleep(seconds * 1000, this.#child.abort.signal);
    if (this.#child.abort.signal.aborted) throw new Exit(143);
  }

  /** Time passes in a remote command; a connection that is dead for a minute is noticed. */
  async #remote(machine: Machine, key: string, seconds: number): Promise<void> {
    let deaf = 0;
    for (let left = seconds; left > 0; left -= 5) {
      await this.#wait(Math.min(5, left));
      const shell = machine.ssh();
      deaf = machine.linked ? 0 : deaf + 5;
      if (deaf >= 60 || (machine.linked && shell?.key !== key)) {
        this.#child.say('client_loop: send disconnect: Broken pipe');
        throw new Exit(255);
      }
    }
  }

  async #hang(): Promise<never> {
    for (;;) await this.#wait(3600);
  }

  async connect(): Promise<{ machine: Machine; key: string }> {
    const { network, random } = this.#world;
    const say = (text: string) => this.#child.say(text);
    await this.#wait(random.int(1, 8) / 10);
    say('### Uploading install SSH keys ###');
    for (;;) {
      await this.#wait(random.int(3, 30) / 10);
      const machine = network.at(this.#address);
      const shell = machine?.ssh();
      const { fate } = machine ?? {};
      if (machine === undefined || shell === undefined || fate?.has('sshd gone')) {
        say(`ssh: connect to host ${this.#address} port 22: No route to host`);
        await this.#wait(3);
        continue;
      }
      if (fate?.strikes('another machine at the address') || shell.key !== this.#files.pinned) {
        say('@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @');
        await this.#wait(3);
        continue;
      }
      if (shell.system !== undefined || fate?.has('login refused')) {
        say(`root@${this.#address}: Permission denied (publickey,keyboard-interactive).`);
        await this.#wait(3);
        continue;
      }
      if (fate?.has('not started')) throw new Exit(127);
      say('### Gathering machine facts ###');
      await this.#remote(machine, shell.key, random.int(1, 4));
      if (fate?.has('image incomplete')) {
        say('aborted: no tar command found, but required to unpack install image');
        throw new Exit(1);
      }
      return { machine, key: shell.key };
    }
  }

  async disko(machine: Machine, key: string): Promise<void> {
    const { random, life } = this.#world;
    const say = (text: string) => this.#child.say(text);
    const { fate } = machine;
    say('copying 3 paths...');
    say(`copying path '/nix/store/f62vcfzf9gnxv1c1p9d5zc1wkrhq49d3-toolbox' to 'ssh://root@${this.#address}'...`);
    if (fate.has('path missing')) {
      say(`error: path '/nix/store/f62vcfzf9gnxv1c1p9d5zc1wkrhq49d3-toolbox' is not valid`);
      throw new Exit(1);
    }
    await this.#remote(machine, key, random.int(1, 5));
    say('### Formatting hard drive with disko ###');
    machine.during('disko');
    if (fate.has('disk missing in disko')) {
      say('error: device /dev/nvme0n1 does not exist');
      throw new Exit(1);
    }
    if (fate.strikes('disk busy')) {
      say('umount: /mnt: target is busy.');
      throw new Exit(1);
    }
    await this.#remote(machine, key, 1);
    machine.write({ kind: 'half' }, life);
    if (machine.troubled('disko fails until a fresh boot') || machine.troubled('disks held until a fresh boot'))
      throw new Exit(1);
    if (fate.strikes('disko hangs')) await this.#hang();
    await this.#remote(machine, key, random.int(2, 60));
    if (fate.strikes('disko fails once') || fate.strikes('disko fails twice')) throw new Exit(1);
    machine.write({ kind: 'half' }, life);
  }

  async install(machine: Machine, key: string, toplevel: string): Promise<void> {
    const { random, life } = this.#world;
    const say = (text: string) => this.#child.say(text);
    const { fate } = machine;
    say('### Uploading the system closure ###');
    say('copying 2 paths...');
    machine.during('copy');
    for (const [path, most] of [
      [kernelPath, 150],
      [toplevel, 40],
    ] as const) {
      say(`copying path '${path}' to 'ssh://root@${this.#address}'...`);
      await this.#remote(machine, key, random.int(5, most));
      machine.write({ kind: 'half' }, life);
    }
    if (fate.strikes('connection lost in copy')) {
      say(`Connection to ${this.#address} closed by remote host.`);
      throw new Exit(1);
    }
    if (fate.has('no space')) {
      say(`error: writing to file: No space left on device`);
      throw new Exit(1);
    }
    if (fate.strikes('copy fails once') || machine.troubled('copy fails until a fresh boot')) {
      say('error: unexpected end-of-file');
      throw new Exit(1);
    }
    if (fate.strikes('copy silent')) await this.#hang();
    say('### Copying extra files ###');
    await this.#remote(machine, key, 1);
    machine.write({ kind: 'half' }, life);
    say('### Installing NixOS ###');
    machine.during('install');
    if (fate.strikes('install hangs')) await this.#hang();
    await this.#remote(machine, key, random.int(15, 180));
    const stuck = machine.troubled('install fails until a fresh boot') || fate.has('install fails in every boot');
    if (stuck || fate.strikes('install fails once') || fate.strikes('install fails twice')) {
      say('error: failed to install the boot loader');
      throw new Exit(1);
    }
    machine.write({ kind: 'system', toplevel, hostKey: this.#files.staged ?? 'none', life }, life);
  }

  async reboot(machine: Machine, key: string): Promise<void> {
    const { random } = this.#world;
    const { fate } = machine;
    this.#child.say('### Rebooting ###');
    machine.during('reboot');
    await this.#wait(random.int(1, 3));
    if (fate.strikes('link cut at the reboot')) machine.unplug(90_000);
    else if (!fate.strikes('does not reboot')) machine.reset('nixos-anywhere');
    this.#child.say('### Waiting for the machine to become unreachable due to reboot ###');
    do await this.#wait(5);
    while (machine.linked && machine.ssh()?.key === key);
  }
}
