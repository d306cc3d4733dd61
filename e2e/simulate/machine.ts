// A machine: power, firmware, iPXE, the installer with its agent, a disk, and the system that is installed on it. What it says to the controller
// are real messages; what it does with the answers is what real ones do. It is long because it is all of one machine.
import type { Instruction, InstructionResult, RegisterRequest } from '@nixie/proto/agent';
import { refusal } from '../../agent/src/link-disk.ts';
import type { Host } from '../../controller/src/machine/host.ts';
import type { Mac } from '../../controller/src/machine/mac.ts';
import { placeOf } from '../../controller/src/machine/relay.ts';
import { hintedDevice } from '../../controller/src/machine/root-disk.ts';
import { lease } from './dhcp-client.ts';
import { type Content, type Disk, hostKeyOf, inventoryOf } from './disk.ts';
import type { Fate, FaultKind } from './faults.ts';
import { Impostors } from './impostors.ts';
import { judgeWrite } from './judge-write.ts';
import type { MachineParts, Os } from './machine-parts.ts';
import { outputsOf } from './nix.ts';
import { type Words, words } from './packets.ts';
import type { Session } from './sessions.ts';

/** Of the agent, before it asks for a new boot script by a reboot. */
const patienceMs = 600_000;

export class Machine {
  readonly host: Host;
  readonly fate: Fate;
  readonly disk: Disk;
  address: string | undefined;
  linked = true;
  readonly #parts: MachineParts;
  #os: Os = { kind: 'off' };
  #power = new AbortController();
  #session: Session | undefined;
  readonly #done = new Map<string, InstructionResult>();
  /** The boot in which each lasting trouble began. */
  readonly #troubled = new Map<FaultKind, string>();
  /** Where /dev/nixie/disk leads. */
  #link: string | undefined;

  constructor(parts: MachineParts) {
    this.#parts = parts;
    this.host = parts.host;
    this.fate = parts.fate;
    this.disk = parts.disk;
  }

  get mac(): Mac {
    return this.host.macs[0]!;
  }

  get on(): boolean {
    return this.#os.kind !== 'off';
  }

  /** Who answers on port 22. */
  ssh(): { readonly key: string; readonly system?: string } | undefined {
    if (this.#os.kind === 'installer') return { key: this.#os.key };
    if (this.#os.kind === 'system') return { key: this.#os.key, system: this.#os.toplevel };
    return undefined;
  }

  /** A magic packet arrived. */
  wake(): void {
    if (this.on || this.fate.has('never answers') || this.fate.strikes('wakes late')) return;
    this.reset('wake-on-lan');
  }

  /** Whatever runs is gone; it starts anew. */
  reset(by: string): void {
    this.#note(`reset by ${by}`);
    this.off();
    this.#os = { kind: 'firmware' };
    void this.#boot(this.#power.signal).catch((error: Error) =>
      this.#parts.network.lan.witness.holds(false, this.host.name, `the simulated machine: ${error.stack}`),
    );
  }

  off(): void {
    this.#power.abort();
    this.#power = new AbortController();
    // The controller notices after a while that nobody is there any more.
    const session = this.#session;
    this.#parts.network.lan.clock.after(25_000, () => session?.lost());
    this.#session = undefined;
    this.#done.clear();
    this.#link = undefined;
    this.#os = { kind: 'off' };
    this.address = undefined;
  }

  unplug(milliseconds: number): void {
    const { clock } = this.#parts.network.lan;
    this.linked = false;
    clock.after(milliseconds, () => {
      this.linked = true;
    });
    // Both ends notice a dead connection by their own pings.
    clock.after(25_000, () => {
      if (!this.linked) this.#session?.lost();
    });
  }

  /** Trouble that lasts as long as this boot of its installer. */
  troubled(kind: FaultKind): boolean {
    if (this.#os.kind !== 'installer' || !this.fate.kinds.has(kind)) return false;
    const { bootId } = this.#os;
    if (this.fate.strikes(kind)) this.#troubled.set(kind, bootId);
    return this.#troubled.get(kind) === bootId;
  }

  /** The stage of an install in which something may befall it. */
  during(stage: 'disko' | 'copy' | 'install' | 'reboot'): void {
    const { lan } = this.#parts.network;
    const power = this.#power;
    const later = (kind: FaultKind, call: () => void) => {
      if (!this.fate.kinds.has(kind)) return;
      lan.clock.after(this.#parts.random.int(100, 15_000), () => {
        if (this.#power === power && this.fate.strikes(kind)) call();
      });
    };
    if (stage === 'reboot' && this.fate.strikes('link down at the reboot')) this.unplug(20_000);
    if (stage === 'reboot') return;
    later(`reset in ${stage}`, () => this.reset('a power cut'));
    later(`link down in ${stage}`, () => this.unplug(20_000));
  }

  /** The controller has seen the end of its install. */
  marked(): void {
    const { content } = this.disk;
    if (content.kind === 'system') content.marked = content.ended = true;
    this.#parts.network.lan.witness.holds(
      content.kind === 'system' && content.life > 0,
      this.host.name,
      `its install is told to have ended, but its disk is ${content.kind}`,
    );
  }

  /** Its proof has failed. */
  unmarked(): void {
    if (this.disk.content.kind === 'system') delete this.disk.content.marked;
  }

  /** Something changes the disk. This is where data would be lost. */
  write(content: Content, life: number): void {
    const { mayLoseData, declaredDisk, network, recordedSerial = '' } = this.#parts;
    const bootId = this.#os.kind === 'installer' ? this.#os.bootId : undefined;
    const named = declaredDisk === hintedDevice ? this.#link : declaredDisk;
    judgeWrite(network.lan.witness, this.host.name, {
      disk: this.disk,
      built: outputsOf(this.host.flakeAttr).every((path) => network.store.has(path)),
      named,
      mayLoseData,
      bootId,
      life,
      recordedSerial,
    });
    this.disk.writes++;
    this.disk.content = content.kind === 'system' && bootId !== undefined ? { ...content, bootId } : content;
    this.#note(`disk is ${content.kind}`);
  }

  /** It runs what is on its disk, and has done so for long. */
  async startInstalled(): Promise<void> {
    this.#os = { kind: 'firmware' };
    await this.#system(this.#power.signal, 0);
  }

  #note(text: string): void {
    this.#parts.network.lan.witness.note(this.host.name, text);
  }

  #sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
    return this.#parts.network.lan.clock.sleep(milliseconds, signal);
  }

  async #boot(signal: AbortSignal): Promise<void> {
    const { random, networkFirst } = this.#parts;
    await this.#sleep(random.int(10_000, 150_000), signal); // self-test
    while (!signal.aborted) {
      if (networkFirst || !this.disk.bootable) {
        if (this.fate.strikes('link down in firmware')) this.unplug(20_000);
        const line = await this.#netboot(signal);
        if (signal.aborted) return;
        if (line !== undefined) return await this.#installer(line, signal);
      }
      if (this.disk.bootable) return await this.#system(signal, random.int(15_000, 80_000));
      await this.#sleep(20_000, signal);
    }
  }

  /** The kernel command line that it boots with; undefined: nothing to boot, and the firmware goes on. */
  async #netboot(signal: AbortSignal): Promise<string | undefined> {
    const { random, firmware, network } = this.#parts;
    const { mode, loss } = network.lan;
    const first = firmware === 'uefi' && mode === 'proxy' ? words.proxied : words[firmware];
    let file = await this.#lease(first, 4, 4000, signal);
    if (file === undefined || signal.aborted) return undefined;
    if (this.fate.strikes('reset in firmware')) {
      this.reset('a power cut');
      return undefined;
    }
    if (!file.endsWith('.ipxe')) {
      await this.#sleep(random.int(300, 4000), signal); // TFTP or HTTP
      if (random.chance(loss)) return undefined;
      file = await this.#lease(
        firmware === 'bios' ? words.bios : firmware === 'http' ? words.httpIpxe : words.uefiIpxe,
        4,
        1000,
        signal,
      );
      if (file === undefined || signal.aborted) return undefined;
    }
    network.lan.witness.holds(file.endsWith('.ipxe'), this.host.name, `iPXE was told to boot ${file}`);
    const mac = /\/boot\/([0-9a-f-]+)\.ipxe$/.exec(file)?.[1]?.replaceAll('-', ':') as Mac;
    for (let tries = 0; tries < 3 && !signal.aborted; tries++) {
      await this.#sleep(random.int(20, 400), signal);
      if (this.fate.strikes('stranger asks for the script')) {
        const got = network.controller?.script(mac, '10.80.62.9');
        network.lan.witness.holds(got === undefined || 'refuse' in got, this.host.name, 'a stranger got its script');
      }
      const asked =
        this.linked && !random.chance(loss) ? network.controller?.script(mac, this.address ?? '') : undefined;
      const answer = asked !== undefined && 'script' in asked ? asked.script : undefined;
      if (answer === undefined) continue;
      const kernel = /^kernel .*$/m.exec(answer)?.[0];
      if (kernel === undefined) return undefined;
      // Kernel and initrd: the script itself tries for a long time.
      await this.#sleep(random.int(4000, 60_000), signal);
      if (this.fate.strikes('link down while loading')) {
        this.unplug(20_000);
        await this.#sleep(25_000, signal);
      }
      if (this.fate.strikes('reset while loading')) {
        this.reset('a power cut');
        return undefined;
      }
      return kernel;
    }
    return undefined;
  }

  #lease(client: Words, tries: number, firstMs: number, signal: AbortSignal): Promise<string | undefined> {
    const { network, random } = this.#parts;
    const have = (address: string) => this.#have(address);
    return lease(client, { machine: this, network, random, signal, tries, firstMs, have });
  }

  #have(address: string): void {
    this.address = address;
    this.#parts.network.take(address, this);
  }

  async #system(signal: AbortSignal, startMs: number): Promise<void> {
    const { content } = this.disk;
    await this.#sleep(startMs, signal);
    if (content.kind === 'foreign') this.#note('runs what was on its disk');
    if (signal.aborted || content.kind !== 'system' || this.fate.has('does not come up')) return;
    if (
      this.fate.kinds.has('reset after the install') &&
      content.life > 0 &&
      this.fate.strikes('reset after the install')
    )
      return this.reset('a power cut');
    while (!signal.aborted && (await this.#lease(words.system, 4, 4000, signal)) === undefined)
      if (this.#parts.network.controller === undefined) break;
    // It keeps the address of its last lease when nobody answers.
    if (signal.aborted || this.address === undefined) return;
    const { hostKey, toplevel } = content;
    const fresh = content.life > 0;
    this.#os = {
      kind: 'system',
      key: fresh && this.fate.has('shows another key') ? hostKeyOf(this.#parts.random) : hostKey,
      toplevel:
        fresh && this.fate.has('boots another system') ? toplevel.replace(/-.*/, '-nixos-system-older') : toplevel,
    };
    this.#note('runs its system');
  }

  async #installer(kernel: string, signal: AbortSignal): Promise<void> {
    const { random, network } = this.#parts;
    await this.#sleep(random.int(8000, 45_000), signal);
    if (signal.aborted) return;
    const bootId = random.hex(16);
    const key = hostKeyOf(random);
    // Names are given in the order in which disks are found.
    if (this.#parts.beside !== undefined && random.chance(0.5))
      [this.disk.shape.path, this.#parts.beside.shape.path] = [this.#parts.beside.shape.path, this.disk.shape.path];
    while (!signal.aborted && (await this.#lease(words.agent, 4, 4000, signal)) === undefined);
    if (signal.aborted) return;
    this.#os = { kind: 'installer', key, bootId };
    this.#note('runs the installer');
    if (this.fate.has('agent lost')) return;
    const word = (name: string) => new RegExp(` ${name}=(\\S+)`).exec(kernel)?.[1] ?? '';
    const request: RegisterRequest = {
      token: word('nixie.token'),
      mac: word('nixie.mac'),
      sshHostKey: key,
      agentKey: Buffer.from(random.bytes(91)),
      bootId,
      agentVersion: 'simulated',
      address: this.address ?? '',
      inventory: this.#inventory(bootId),
    };
    network.lan.witness.holds(request.mac === this.mac, this.host.name, `the script was made for ${request.mac}`);
    let credential: string | undefined;
    let hopelessSince: number | undefined;
    for (let attempt = 0; !signal.aborted; attempt++) {
      const { ticks } = network.lan.clock;
      const refused = this.linked
        ? credential === undefined
          ? this.#register(request, (got) => (credential = got))
          : undefined
        : 'no link';
      if (credential !== undefined && this.linked) {
        const end = await this.#hold(credential, request, signal);
        if (end === 'lived') [attempt, hopelessSince] = [0, undefined];
        else if (end === 'refused') hopelessSince ??= ticks;
      } else if (refused === 'refused') hopelessSince ??= ticks;
      else hopelessSince = undefined;
      if (signal.aborted) return;
      if (hopelessSince !== undefined && network.lan.clock.ticks - hopelessSince > patienceMs)
        return this.reset('its agent, for a new boot script');
      const most = Math.min(credential === undefined ? 15_000 : 60_000, 1000 * 2 ** Math.min(attempt, 6));
      await this.#sleep(random.next() * most, signal);
    }
  }

  #register(request: RegisterRequest, keep: (credential: string) => void): 'refused' | undefined {
    const { network, random } = this.#parts;
    const { controller, lan } = network;
    if (controller === undefined) return undefined;
    const peer = `${this.address}:${random.int(32_768, 60_000)}`;
    const impostors = new Impostors(this, network, request);
    impostors.before();
    const answer = controller.register(request, peer);
    if ('refused' in answer) {
      this.#note(`registration refused: ${answer.why}`);
      return 'refused';
    }
    lan.witness.holds(answer.host === this.host.name, this.host.name, `registered as ${answer.host}`);
    impostors.after(random, peer);
    if (this.fate.strikes('answer to registration lost')) return undefined;
    keep(answer.credential);
    return undefined;
  }

  /** One session, to its end. */
  async #hold(
    credential: string,
    request: RegisterRequest,
    signal: AbortSignal,
  ): Promise<'lived' | 'refused' | 'unreachable'> {
    const { network, random } = this.#parts;
    const { controller } = network;
    if (controller === undefined) return 'unreachable';
    const over = Promise.withResolvers<void>();
    const session = controller.open(credential, {
      bootId: request.bootId,
      place: placeOf(`${this.address}:${random.int(32_768, 60_000)}`),
      address: this.address ?? '',
      agentKey: request.agentKey,
      instruct: (instruction) => void this.#carryOut(instruction, signal),
      over: () => over.resolve(),
    });
    if ('refused' in session) {
      this.#note(`session refused: ${session.why}`);
      return session.refused === 'unavailable' ? 'unreachable' : 'refused';
    }
    this.#session = session;
    if (this.fate.strikes('reset when registered'))
      network.lan.clock.after(random.int(10, 4000), () => {
        if (!signal.aborted) this.reset('a power cut');
      });
    signal.addEventListener('abort', () => over.resolve(), { once: true });
    await over.promise;
    if (this.#session === session) this.#session = undefined;
    return 'lived';
  }

  #inventory(bootId: string) {
    const { beside } = this.#parts;
    const disks = beside === undefined ? [this.disk] : [this.disk, beside];
    return inventoryOf(disks, bootId, this.host.macs, `${this.address}/18`);
  }

  async #carryOut({ id, action }: Instruction, signal: AbortSignal): Promise<void> {
    const { random } = this.#parts;
    if (action === undefined || this.fate.has('agent deaf')) return;
    const known = this.#done.get(id);
    if (known !== undefined) return this.#session?.result(known);
    await this.#sleep(action.$case === 'resetDisks' ? random.int(500, 8000) : random.int(100, 3000), signal);
    if (signal.aborted || this.#os.kind !== 'installer') return;
    if (action.$case === 'inspect' && this.fate.strikes('disk swapped after registration'))
      this.disk.shape.serial = `${this.disk.shape.serial}X`;
    const inventory = action.$case === 'inspect' ? this.#inventory(this.#os.bootId) : undefined;
    let error = '';
    if (action.$case === 'resetDisks' && this.#troubled.get('disks held until a fresh boot') === this.#os.bootId)
      error = 'umount: /mnt: target is busy.';
    if (action.$case === 'linkDisk') {
      if (this.fate.strikes('disk swapped before the link')) this.disk.shape.serial = `${this.disk.shape.serial}X`;
      error = refusal(action.value, this.#inventory(this.#os.bootId).disks) ?? '';
      if (error === '') this.#link = action.value.path;
    }
    const result: InstructionResult = { id, ok: error === '', error, inventory };
    this.#done.set(id, result);
    this.#session?.result(result);
    if (action.$case === 'reboot') this.reset('the controller, by its agent');
    if (action.$case === 'powerOff') {
      this.#parts.network.lan.witness.moment(this.host.name, 'switched off');
      this.off();
    }
  }
}
