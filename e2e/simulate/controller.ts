// One life of the controller: its real core, admission, tasks and answers, put together as the daemon does it, over simulated sockets, programs and
// time. What outlives it is in `Kept`; a kill leaves nothing else. It is long because it is the daemon's wiring as a whole.
import type { Instruction, RegisterRequest } from '@nixie/proto/agent';
import type { Inventory } from '@nixie/proto/inventory';
import { answerDhcp } from '../../controller/src/answer/dhcp.ts';
import type { Scene } from '../../controller/src/answer/scene.ts';
import { Account } from '../../controller/src/core/account.ts';
import { Admission } from '../../controller/src/core/admission.ts';
import { Answers } from '../../controller/src/core/answers.ts';
import { Consent } from '../../controller/src/core/consent.ts';
import { Core } from '../../controller/src/core/core.ts';
import type { FreeLook } from '../../controller/src/core/disk-look.ts';
import { HostBook } from '../../controller/src/core/hosts.ts';
import { Logins } from '../../controller/src/core/logins.ts';
import { inSubnet, type NetworkPlan, planNetwork } from '../../controller/src/core/network.ts';
import { NotLooked } from '../../controller/src/core/place.ts';
import { Plans } from '../../controller/src/core/plans.ts';
import { prepare } from '../../controller/src/core/prepare.ts';
import { makeScene } from '../../controller/src/core/scene.ts';
import { runTask } from '../../controller/src/core/tasks.ts';
import { makeTurns } from '../../controller/src/core/turns.ts';
import { Waves } from '../../controller/src/core/waves.ts';
import { Launch } from '../../controller/src/launch.ts';
import type { RunEvent } from '../../controller/src/machine/event.ts';
import type { Host } from '../../controller/src/machine/host.ts';
import { patience } from '../../controller/src/machine/life.ts';
import type { Mac } from '../../controller/src/machine/mac.ts';
import { placeOf } from '../../controller/src/machine/relay.ts';
import { isEnd, type Stage } from '../../controller/src/machine/stage.ts';
import { type Token, TokenBook } from '../../controller/src/machine/token.ts';
import type { Installer } from '../../controller/src/nix/types.ts';
import { type Begun, type BegunShelf, begunOn } from '../../controller/src/store/begun.ts';
import type { Consents } from '../../controller/src/store/consents.ts';
import type { Marks } from '../../controller/src/store/marks.ts';
import type { KeptRegistration } from '../../controller/src/store/registrations.ts';
import { decodeDhcp, encodeDhcp } from '../../controller/src/wire/dhcp4/packet.ts';
import type { Machine } from './machine.ts';
import { link, type Network } from './network.ts';
import { installerPath, type NixCounts, simulatedNix, simulatedStore } from './nix.ts';
import type { Random } from './random.ts';
import { type Opening, type Session, Sessions } from './sessions.ts';
import { simulatedTools } from './tools.ts';
import { Turns } from './turns.ts';

/** The state directory. */
export interface Kept {
  readonly registrations: Map<string, KeptRegistration>;
  /** Public host keys of installed systems. */
  readonly hostKeys: Map<string, string>;
  leases: Readonly<Record<Mac, string>>;
  tokens: readonly Token[];
  readonly marks: Marks;
  readonly begun: BegunShelf;
  readonly consents: Consents;
  readonly journal: string[];
  readonly secret: Uint8Array;
  readonly fingerprint: string;
}

export interface LifeParts {
  /** 1 for the first. */
  readonly number: number;
  readonly kept: Kept;
  readonly hosts: readonly Host[];
  readonly reinstall: ReadonlySet<string>;
  /** What the operator recorded of machines. */
  readonly recorded?: ReadonlyMap<string, Inventory>;
  readonly strictHardware?: boolean;
  /** A service: it looks at each machine before it counts what the operator allowed. */
  readonly endless: boolean;
  readonly network: Network;
  readonly random: Random;
  readonly jobs: number;
  /** Of the build of an output of this name. Absent: half a minute. */
  readonly buildSeconds?: (name: string) => number;
  /** Called at each end of a machine. */
  readonly onEnd: (host: string, stage: Stage, life: ControllerLife) => void;
}

const ports = { httpPort: 7480, grpcPort: 7481 };

export class ControllerLife {
  readonly counts: NixCounts = { evaluations: 0, builds: 0 };
  /** Every host has ended, and the daemon has left. */
  over = false;
  readonly core: Core;
  /** Most that was ever in each queue. */
  readonly most = { instructions: 0, tokens: 0, children: 0, tasks: 0 };
  readonly #parts: LifeParts;
  readonly #account: Account;
  readonly #admission: Admission;
  readonly #tokens: TokenBook;
  readonly #sessions: Sessions;
  readonly #diskLooks = new Map<string, FreeLook>();
  readonly #copies: Turns;
  readonly #waves: Waves;
  /** What the operator was told of waves. */
  readonly told: string[] = [];
  readonly #inventories = new Map<string, Inventory>();
  readonly #plans = new Plans({
    waits: (host) => {
      const release = this.core.hold(host);
      const over = this.#account.waits(host, 'its build');
      this.#waves.moved();
      return () => {
        over();
        release();
      };
    },
  });
  readonly #begun: Begun;
  readonly #consent: Consent;
  readonly #looks = makeTurns(16, () => () => {});
  readonly #installers = new Map<string, Installer>();
  readonly #book: HostBook;
  readonly #hostOfMac: ReadonlyMap<Mac, string>;
  readonly #plan: NetworkPlan;
  readonly #tasks = new Map<string, number>();
  /** Hosts whose reboot mark is set. */
  readonly #marked = new Set<string>();
  #dead = false;
  #scene: Scene;
  readonly #answers: Answers<Scene>;
  readonly #tools: ReturnType<typeof simulatedTools>;
  readonly #logins = new Logins({ after: (ms, call) => this.after(ms, call) });

  constructor(parts: LifeParts) {
    this.#parts = parts;
    this.#begun = begunOn(parts.kept.begun);
    this.#consent = new Consent({
      consents: parts.kept.consents,
      reinstall: parts.reinstall,
      endless: parts.endless,
      warn: (text) => parts.network.lan.witness.holds(false, undefined, text),
    });
    if (parts.endless) this.#consent.settle(parts.hosts);
    this.#book = new HostBook(parts.hosts);
    const { kept, hosts, network, random } = parts;
    const { clock } = network.lan;
    const now = () => clock.wall;
    const ticks = () => clock.ticks;
    const wish =
      network.lan.mode === 'range'
        ? ({ mode: 'range', from: '10.80.1.0', to: '10.80.15.254' } as const)
        : ({ mode: 'proxy' } as const);
    const planned = planNetwork([link], wish, hosts, kept.leases);
    if ('problems' in planned) throw new Error(planned.problems.join('; '));
    this.#plan = planned.plan;
    kept.leases = { ...kept.leases, ...planned.plan.addresses };
    this.#hostOfMac = new Map(hosts.flatMap((host) => host.macs.map((mac) => [mac, host.name] as const)));
    this.#account = new Account({
      hosts: this.#book,
      life: (host) => this.core.life(host),
      toplevel: (host) => this.#plans.get(host)?.system.toplevel.out,
      agentConnected: (host) => this.#sessions.has(host),
      show: (event) => this.#show(event),
      proved: () => {},
      now,
      ticks,
    });
    const { emit } = this.#account;
    this.core = new Core(
      {
        now,
        ticks,
        after: this.after,
        journal: {
          write: (entry) => {
            if (!this.#dead) kept.journal.push(JSON.stringify(entry));
          },
          close() {},
        },
        emit,
        run: (task, life, signal) => this.#counted(life.host, () => runTask(this.#taskWorld(), task, life, signal)),
        changed: () => this.#changed(),
      },
      patience,
    );
    this.#scene = this.#makeScene();
    // Answers are made elsewhere, from a copy that arrives a little later.
    this.#answers = new Answers(
      () => this.#makeScene(),
      async (scene) => {
        await this.#sleep(20);
        this.#scene = scene;
      },
      (error) => network.lan.witness.holds(false, undefined, `firmware is not answered any more: ${error.message}`),
    );
    this.#tokens = new TokenBook((bytes) => random.bytes(bytes));
    this.#tokens.restore(kept.tokens, ticks(), now());
    this.#sessions = new Sessions(() => random.hex(8), this.after);
    this.#copies = new Turns(parts.jobs);
    this.#waves = new Waves({
      hosts: () => hosts,
      life: (host) => this.core.life(host),
      hold: (host) => this.core.hold(host),
      seconds: () => this.#account.seconds(),
      sizes: (host) => ({
        bootBytes: 300_000_000,
        imageBytes: 0,
        copyBytes: this.#plans.get(host.name)?.closure?.bytes,
      }),
      waits: (host) => this.#plans.waits(host),
      jobs: parts.jobs,
      loadingPatience: patience.loading,
      tell: (text) => void this.told.push(text),
      ticks,
      after: this.after,
    });
    this.#admission = new Admission({
      core: this.core,
      hosts: this.#book,
      tokens: this.#tokens,
      registrations: {
        get: (host) => kept.registrations.get(host),
        put: (host, registration) => void kept.registrations.set(host, registration),
      },
      installer: (system) => {
        const installer = this.#installers.get(system);
        if (installer === undefined) return undefined;
        const { kernel, initrd, commandLine } = installer;
        return {
          kernelSha256: kernel.sha256,
          initrdSha256: initrd.sha256,
          kernelParams: commandLine,
          needsBytes: 1 << 30,
        };
      },
      alive: (host) => {
        const machine = this.#machine(host);
        return this.#sessions.has(host) && machine?.on === true && machine.linked;
      },
      mayLoad: (host) => this.#waves.mayLoad(host),
      tokensChanged: () => {
        if (!this.#dead) kept.tokens = this.#tokens.list(now() - ticks());
      },
      macAt: (address) => (inSubnet(address, link) ? network.neighbour(address) : 'foreign'),
      authorizedKeys: ['ssh-ed25519 AAAA nixie-run'],
      credentialSecret: kept.secret,
      fingerprint: kept.fingerprint,
      ...ports,
      now,
      ticks,
      emit,
    });
    this.#tools = simulatedTools({
      network,
      random: random.child('tools'),
      life: parts.number,
      hostKeys: kept.hostKeys,
      after: this.after,
    });
  }

  /** Nothing that a dead life waits for ever comes. */
  readonly after = (milliseconds: number, call: () => void): (() => void) =>
    this.#parts.network.lan.clock.after(milliseconds, () => {
      if (!this.#dead) call();
    });

  readonly #sleep = async (milliseconds: number, signal?: AbortSignal): Promise<void> => {
    await this.#parts.network.lan.clock.sleep(milliseconds, signal);
    if (this.#dead) await new Promise<never>(() => {});
  };

  /** Its whole life, as the daemon leads it. */
  async live(): Promise<void> {
    const { hosts } = this.#parts;
    for (const host of hosts) this.core.add(host.name);
    const { network, buildSeconds = () => 30 } = this.#parts;
    const { clock, witness } = network.lan;
    const signal = new AbortController().signal;
    const launch = new Launch({
      hosts: this.#book,
      core: this.core,
      account: this.#account,
      plans: this.#plans,
      // A mark of another system is none: the flake is the same in every life.
      marks: this.#parts.kept.marks,
      takeInstaller: (system, installer) => {
        witness.holds(network.store.has(installerPath), undefined, 'an installer is served that was not built');
        this.#installers.set(system, installer);
      },
      unbootable: () => undefined,
      built: () => {},
    });
    await launch.prepare(
      hosts,
      (told) =>
        prepare({
          flake: 'git+file:///flake',
          installers: { 'x86_64-linux': '#installer' },
          hosts,
          run: simulatedNix({ counts: this.counts, pass: this.#sleep, store: network.store, buildSeconds }),
          cwd: '/',
          probe: { exists: () => false },
          store: simulatedStore,
          gcRootsDir: '/state/gcroots',
          nowMs: () => clock.ticks,
          after: this.after,
          signal,
          deadlineMs: 3_600_000,
          onProgress: () => {},
          told: {
            ...told,
            built: (plan) => {
              witness.moment(plan.host.name, 'built');
              told.built(plan);
            },
          },
        }),
      signal,
    );
  }

  /** SIGKILL. */
  kill(): void {
    this.#dead = true;
    this.#tools.anywhere.orphan();
    this.#sessions.endAll();
  }

  datagram(bytes: Uint8Array, port: number, source: { address: string; port: number }): Uint8Array | undefined {
    const { network } = this.#parts;
    const decision = answerDhcp({ packet: decodeDhcp(bytes), interface: link.name, port, source }, this.#scene);
    const host = decision.machine;
    if (host === undefined) return undefined;
    if (decision.kind === 'silence') {
      network.lan.witness.note(host, `dhcp silent: ${decision.why}`);
      return undefined;
    }
    network.lan.witness.note(host, `dhcp ${decision.why} ${decision.file ?? ''}`);
    // A loader is the installer's beginning; iPXE's script says itself what is to be booted.
    network.lan.witness.holds(
      !this.#tools.rebooting.has(host) || decision.file === undefined || decision.file.endsWith('.ipxe'),
      host,
      `its firmware was told to boot ${decision.file} after the reboot mark`,
    );
    // An operating system that asks for an address is no sign of a boot from the network.
    const stage = this.core.life(host)?.stage;
    if (decision.file !== undefined && (stage === 'waking' || stage === 'restarting'))
      this.core.happened(host, { kind: 'firmware-asked' });
    return encodeDhcp(decision.packet);
  }

  script(mac: Mac, remoteAddress: string): { script: string } | { refuse: string } {
    const answer = this.#admission.script({ mac, remoteAddress, localAddress: link.address });
    const host = this.#hostOfMac.get(mac);
    const installer = 'script' in answer && answer.script.includes('nixie.token=');
    this.#parts.network.lan.witness.note(
      host,
      `script for ${remoteAddress}: ${'refuse' in answer ? answer.refuse : installer ? 'installer' : 'local'}`,
    );
    const said = this.#book.named(host ?? '');
    const asked = said !== undefined && (this.#parts.endless || !this.#consent.mayLoseData(said));
    this.#parts.network.lan.witness.holds(
      !(installer && asked && this.#parts.network.byMac(mac)?.fate.kinds.has('never looked for')),
      host,
      'it was given the script of the installer, and nobody knew whether it was up',
    );
    this.#parts.network.lan.witness.holds(
      !(installer && host !== undefined && this.#marked.has(host)),
      host,
      'it was given the script of the installer after its reboot mark',
    );
    this.#bounds();
    return answer;
  }

  register(request: RegisterRequest, peer: string) {
    const answer = this.#admission.register(request, placeOf(peer));
    if (!('refused' in answer) && request.inventory !== undefined)
      this.#inventories.set(answer.host, request.inventory);
    return answer;
  }

  open(text: string, opening: Opening): Session | { refused: string; why: string } {
    const credential = this.#admission.credential(text);
    if (credential === undefined || !Buffer.from(credential.agentKey).equals(opening.agentKey))
      return { refused: 'unauthenticated', why: 'no good credential' };
    const { host } = credential;
    const kept = this.#parts.kept.registrations.get(host);
    if (!this.#inventories.has(host) && kept !== undefined) this.#inventories.set(host, kept.inventory);
    const refused = this.#admission.session(host, { ...opening, mac: credential.mac });
    if (refused !== undefined) return refused;
    this.#parts.network.lan.witness.note(host, 'session up');
    return this.#sessions.begin(host, opening);
  }

  #taskWorld() {
    const { network, kept } = this.#parts;
    const { clock } = network.lan;
    return {
      tools: this.#tools.tools,
      logins: this.#logins,
      plans: this.#plans,
      whenBuilt: (host: string, signal: AbortSignal) => this.#plans.whenBuilt(host, signal),
      buildFailed: (host: string) => this.#plans.failed(host),
      finder: {
        find: async (macs: readonly Mac[], signal?: AbortSignal) => {
          await this.#sleep(1600, signal);
          return macs.flatMap((mac) => {
            const machine = network.byMac(mac);
            if (machine?.fate.has('never looked for') || machine?.fate.strikes('not looked for twice'))
              throw new NotLooked('no datagram leaves');
            return machine?.address !== undefined && machine.linked ? [machine.address] : [];
          });
        },
        macOf: async (address: string) => network.neighbour(address),
      },
      agents: {
        connected: async (host: string, deadlineMs: number, signal: AbortSignal, bootId?: string) => {
          for (
            const until = clock.ticks + deadlineMs;
            !this.#sessions.has(host, bootId);
            await this.#sleep(100, signal)
          ) {
            if (signal.aborted) throw new Error('called off');
            if (clock.ticks > until) throw new Error('its agent registered but opened no session');
          }
        },
        session: (host: string) => this.#sessions.number(host),
        instruct: (host: string, action: NonNullable<Instruction['action']>, deadlineMs: number) => {
          // A fresh boot of the installer is no reboot into the installed system.
          if (action.$case === 'reboot' && this.core.life(host)?.stage !== 'restarting')
            this.#tools.rebooting.add(host);
          return this.#sessions.instruct(host, action, deadlineMs);
        },
      },
      leased: (macs: readonly Mac[]) => macs.flatMap((mac) => this.#plan.addresses[mac] ?? []),
      looks: this.#diskLooks,
      inventory: (host: string) => this.#inventories.get(host),
      keepInventory: (host: string, inventory: Inventory) => void this.#inventories.set(host, inventory),
      tell: (host: string, happening: Parameters<Core['happened']>[1]) => void this.core.happened(host, happening),
      lookup: async () => [],
      registered: (host: string) => kept.registrations.get(host),
      keysFor: () => undefined,
      keysGiven: () => {},
      marks: kept.marks,
      begun: this.#begun,
      proofFolder: '/state/run/proofs',
      installerKey: (host: string) => kept.registrations.get(host)?.sshHostKey,
      emit: this.#account.emit,
      now: () => clock.wall,
      sleep: this.#sleep,
      wake: async (macs: readonly Mac[], signal: AbortSignal) => {
        await this.#sleep(450, signal);
        if (!signal.aborted) for (const mac of macs) network.byMac(mac)?.wake();
        return 12 * macs.length;
      },
      inTurn: <T>(call: () => Promise<T>, host: string, signal: AbortSignal) =>
        this.#copies.run(
          () => this.#waves.timed(call as () => Promise<void>) as Promise<T>,
          signal,
          () => this.core.hold(host),
        ),
      wakeInTurn: (host: Host, signal: AbortSignal) => this.#waves.turn(host, signal),
      lookInTurn: this.#looks,
      expects: (host: string) => this.#tokens.expects(host, clock.ticks),
      recorded: async (host: Host) => {
        const inventory = this.#parts.recorded?.get(host.name);
        return inventory && { file: `/recorded/${host.name}`, inventory };
      },
      strictHardware: this.#parts.strictHardware ?? false,
      mayLoseData: (host: Host) => this.#consent.mayLoseData(host),
      consentIsUsedUp: (host: Host) => this.#consent.isUsedUp(host),
      consentUsed: (host: Host) => this.#consent.use(host),
      runKey: { privateFile: '/state/run/key', publicKey: 'ssh-ed25519 AAAArun' },
      proofKey: { privateFile: '/state/proof', publicKey: 'ssh-ed25519 AAAAproof' },
      identities: ['/state/proof'],
      asksFirst: this.#parts.endless,
      stateDir: '/state',
      nixosAnywhere: '/bin/nixos-anywhere',
      realSsh: '/bin/ssh',
      keygen: async () => '',
      searchPath: '/bin',
      nixEnv: {},
      proofPatienceMs: Math.max(10, patience.proving - 5) * 1000,
      answersCurrent: () => this.#answers.current(),
      kept,
    };
  }

  async #counted(host: string, run: () => Promise<void>): Promise<void> {
    const count = (this.#tasks.get(host) ?? 0) + 1;
    this.#tasks.set(host, count);
    this.#parts.network.lan.witness.holds(count <= 1, host, `${count} tasks run for one machine`);
    try {
      await run();
    } finally {
      this.#tasks.set(host, (this.#tasks.get(host) ?? 1) - 1);
      this.most.tasks = Math.max(this.most.tasks, this.#tasks.size);
    }
  }

  #machine(host: string): Machine | undefined {
    return this.#parts.network.machines.find((machine) => machine.host.name === host);
  }

  #makeScene(): Scene {
    return makeScene(
      {
        interfaces: this.#plan.interfaces,
        addresses: this.#plan.addresses,
        loaders: { bios: 'undionly.kpxe', x64: 'snponly.efi' },
        httpPort: 7480,
      },
      this.#parts.hosts,
      this.core.lives(),
    );
  }

  #changed(): void {
    this.#answers.changed();
    this.#waves.moved();
    if (this.core.ended && !this.over) void this.#leave();
  }

  #leaving = false;
  async #leave(): Promise<void> {
    if (this.#leaving) return;
    this.#leaving = true;
    await this.core.settle(15_000);
    await this.core.close(10_000);
    this.#sessions.endAll();
    this.#waves.close();
    this.over = true;
    for (const { name } of this.#parts.hosts) this.#parts.kept.marks.clear(name);
    for (const [host, count] of this.#tasks)
      this.#parts.network.lan.witness.holds(count === 0, host, 'a task was left when the controller ended');
  }

  #show(event: RunEvent): void {
    if (this.#dead) return;
    const { witness } = this.#parts.network.lan;
    const { at: _, ...rest } = event;
    const host = 'host' in event ? event.host : undefined;
    witness.note(host, JSON.stringify(rest));
    if (event.event !== 'stage') return;
    witness.stage(event.host, event.stage);
    if (event.stage === 'rebooting') {
      this.#marked.add(event.host);
      this.#machine(event.host)?.marked();
    }
    // A proof that was not given is a result too: what the operator allowed counts again.
    if (event.stage === 'failed') this.#machine(event.host)?.unmarked();
    if (event.stage === 'waking') this.#marked.delete(event.host);
    if (event.stage === 'waking') this.#tools.rebooting.delete(event.host);
    if (!isEnd(event.stage)) return;
    if (event.stage === 'failed') this.#parts.kept.marks.clear(event.host);
    this.#judge(event.host, event.stage);
    witness.holds(
      event.stage === 'proved' || event.stage === 'skipped' || (event.reason ?? '') !== '',
      event.host,
      `it ended as ${event.stage} without a reason`,
    );
    this.#parts.onEnd(event.host, event.stage, this);
  }

  /** What is said of a machine at its end must be true of it. */
  #judge(host: string, stage: Stage): void {
    const { witness, clock } = this.#parts.network.lan;
    const machine = this.#machine(host);
    const shell = machine?.ssh();
    const waited = shell !== undefined && shell.system === undefined && this.#tokens.expects(host, clock.ticks);
    if (stage === 'doubtful') witness.holds(!waited, host, 'its installer, which is about to register, was doubted');
    if (stage === 'skipped')
      witness.holds(
        shell?.system === this.#plans.get(host)?.system.toplevel.out,
        host,
        'it was skipped and runs another system',
      );
    const { reason, spent: times } = this.core.life(host) ?? { spent: {} };
    const wanted = this.#parts.hosts.some((each) => each.name === host && this.#consent.mayLoseData(each));
    if (reason?.startsWith('nothing was heard'))
      witness.holds(wanted || shell?.system === undefined, host, 'it runs a system, and nobody has looked');
    for (const [each, spent] of Object.entries(times))
      witness.holds(spent >= 0 && spent <= clock.ticks, host, `it spent ${spent} ms in ${each}`);
  }

  #bounds(): void {
    const { witness } = this.#parts.network.lan;
    const { hosts, kept } = this.#parts;
    this.most.tokens = Math.max(this.most.tokens, this.#tokens.size);
    this.most.instructions = this.#sessions.given;
    this.most.children = this.#tools.anywhere.most;
    witness.holds(this.#tokens.size <= 8 * 2 * hosts.length, undefined, `${this.#tokens.size} tokens are out`);
    witness.holds(kept.journal.length < 400 * hosts.length, undefined, `${kept.journal.length} lines in the journal`);
  }
}
