// One machine: real firmware in QEMU, emulated (a nested /dev/kvm may open and then crawl). It is off until somebody powers it on, keeps its
// disk and its NVRAM while it is off, and everything it prints is kept with the time since power-on.
import { randomBytes, randomUUID } from 'node:crypto';
import {
  copyFileSync,
  createWriteStream,
  existsSync,
  mkdirSync,
  rmSync,
  type WriteStream,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Child, type Exit, run, start } from './child.ts';
import type { Network } from './net.ts';

/** uefi: OVMF's own PXE. bios: SeaBIOS with the card's iPXE. http: OVMF's HTTP Boot. */
export type Firmware = 'uefi' | 'bios' | 'http';

export interface MachineSpec {
  readonly name: string;
  /** Locally administered, lower case with colons. */
  readonly mac: string;
  readonly firmware: Firmware;
  readonly bootOrder: 'disk-first' | 'network-first';
  /** Default 1280: the installer of the lab unpacks its file system into memory. */
  readonly memoryMiB?: number;
  readonly cpus?: number;
  /** Default 4 GiB, sparse. */
  readonly diskMiB?: number;
  /** Default a random one; it is the SMBIOS UUID and DHCP option 97. */
  readonly uuid?: string;
  /** Default NIXIE1. */
  readonly diskSerial?: string;
  /** What its hardware clock says at power-on: QEMU's `-rtc base=`, like 1970-01-01T00:00:30. Default utc. */
  readonly clock?: string;
  /** It has a second disk that holds data and that nobody names; `first`: the kernel finds it before the other. */
  readonly secondDisk?: boolean | 'first';
  /** It has a second network card, on the same LAN. */
  readonly secondCard?: SecondCard;
}

export interface SecondCard {
  /** As the first one's. */
  readonly mac: string;
  /** The firmware tries it before the first one; else after it. */
  readonly asksFirst?: boolean;
}

export interface SerialLine {
  /** Milliseconds since the machine was powered on. */
  readonly ms: number;
  /** Date.now() */
  readonly at: number;
  /** Which power-on, from 1. */
  readonly boot: number;
  readonly text: string;
}

const ovmf = '/usr/share/OVMF';
const keepLines = 20_000;
// Terminal control: OVMF draws its menus with it, systemd its colours.
// biome-ignore lint/complexity/useRegexLiterals: the escape character is easier to see this way
const escapes = new RegExp('\\u001b(\\[[0-9;?=]*[A-Za-z]|[()][A-Z0-9]|[c=>])', 'g');

export class Machine {
  readonly spec: Required<Omit<MachineSpec, 'secondCard'>> & Pick<MachineSpec, 'secondCard'>;
  readonly folder: string;
  readonly disk: string;
  /** Of the second disk, if it has one. */
  readonly secondDisk: string;
  readonly tap: string;
  /** Of the second card, if it has one. */
  readonly secondTap: string;
  readonly serial: SerialLine[] = [];
  /** How many times it was powered on. */
  boots = 0;
  /** Of the next power-on; a setting of the firmware, so it can be changed while it is off. */
  bootOrder: MachineSpec['bootOrder'];
  #net: Network;
  #child: Child | undefined;
  #log: WriteStream | undefined;
  #listeners = new Set<(line: SerialLine) => void>();
  #offListeners = new Set<(exit: Exit) => void>();

  constructor(net: Network, spec: MachineSpec, parent: string, tap: string) {
    this.#net = net;
    this.tap = tap;
    this.secondTap = `${tap}b`;
    this.folder = join(parent, spec.name);
    this.disk = join(this.folder, 'disk.raw');
    this.secondDisk = join(this.folder, 'second.raw');
    this.spec = {
      memoryMiB: 1280,
      cpus: 1,
      diskMiB: 4096,
      uuid: randomUUID(),
      diskSerial: 'NIXIE1',
      clock: 'utc',
      secondDisk: false,
      ...spec,
    };
    this.bootOrder = spec.bootOrder;
  }

  /** The MACs of its cards. */
  get macs(): readonly string[] {
    const { mac, secondCard } = this.spec;
    return secondCard === undefined ? [mac] : [mac, secondCard.mac];
  }

  get on(): boolean {
    return this.#child !== undefined;
  }

  /** Makes its folder, a blank disk and fresh NVRAM. */
  async prepare(): Promise<void> {
    mkdirSync(this.folder, { recursive: true });
    await run(['truncate', '-s', `${this.spec.diskMiB}M`, this.disk]);
    if (this.spec.secondDisk) writeFileSync(this.secondDisk, randomBytes(8 * 1024 * 1024));
    this.resetNvram();
  }

  /** Forgets boot entries, as a change of the mainboard battery would. */
  resetNvram(): void {
    copyFileSync(join(ovmf, 'OVMF_VARS_4M.fd'), join(this.folder, 'vars.fd'));
  }

  #argv(deadlineMs: number): string[] {
    const { spec, folder } = this;
    const nicFirst = this.bootOrder === 'network-first';
    const uefi = spec.firmware !== 'bios';
    const argv = ['timeout', '-k', '2', String(Math.ceil(deadlineMs / 1000)), 'qemu-system-x86_64'];
    argv.push('-accel', 'tcg,thread=multi,tb-size=256', '-cpu', 'max', '-smp', String(spec.cpus));
    argv.push('-m', String(spec.memoryMiB), '-display', 'none', '-serial', 'stdio', '-no-user-config', '-nodefaults');
    argv.push('-rtc', `base=${spec.clock}`, '-monitor', `unix:${join(folder, 'mon')},server,nowait`);
    argv.push('-device', 'virtio-rng-pci', '-uuid', spec.uuid, '-name', spec.name);
    // Without graphics SeaBIOS and its iPXE print on the serial line.
    argv.push('-machine', uefi ? 'q35' : 'q35,graphics=off');
    if (uefi) {
      argv.push('-drive', `if=pflash,format=raw,unit=0,readonly=on,file=${join(ovmf, 'OVMF_CODE_4M.fd')}`);
      argv.push('-drive', `if=pflash,format=raw,unit=1,file=${join(folder, 'vars.fd')}`);
      // Each entry that nobody answers costs a minute; IPv6 is not what this lab is about.
      argv.push('-fw_cfg', 'name=opt/org.tianocore/IPv6PXESupport,string=n');
      if (spec.firmware === 'http') argv.push('-fw_cfg', 'name=opt/org.tianocore/IPv4PXESupport,string=n');
    }
    const asks = spec.secondCard?.asksFirst === true ? ['n1', 'n0'] : ['n0', 'n1'];
    const order = nicFirst ? [...asks, 'd0'] : ['d0', ...asks];
    const boot = (device: 'd0' | 'n0' | 'n1') => `bootindex=${order.indexOf(device) + 1}`;
    const card = (id: 'n0' | 'n1', mac: string, tap: string): void => {
      argv.push('-netdev', `tap,id=${id},ifname=${tap},script=no,downscript=no`);
      // The default ROM of the card is a complete iPXE: an empty romfile leaves the network to OVMF itself.
      argv.push('-device', `virtio-net-pci,netdev=${id},mac=${mac},${boot(id)}${uefi ? ',romfile=' : ''}`);
    };
    card('n0', spec.mac, this.tap);
    const disks = [
      ['-drive', `if=none,id=d0,format=raw,cache=unsafe,file=${this.disk}`],
      ['-device', `virtio-blk-pci,drive=d0,serial=${spec.diskSerial},${boot('d0')}`],
    ];
    const others = [
      ['-drive', `if=none,id=d1,format=raw,cache=unsafe,file=${this.secondDisk}`],
      ['-device', `virtio-blk-pci,drive=d1,serial=SECOND`],
    ];
    if (spec.secondDisk === 'first') disks.unshift(...others);
    else if (spec.secondDisk) disks.push(...others);
    argv.push(...disks.flat());
    if (spec.secondCard !== undefined) card('n1', spec.secondCard.mac, this.secondTap);
    return argv;
  }

  /** Does nothing when it is on already. It ends by itself at the deadline, whatever happens to us. */
  powerOn(deadlineMs = 45 * 60_000): void {
    if (this.#child !== undefined) return;
    rmSync(join(this.folder, 'mon'), { force: true });
    this.boots += 1;
    const boot = this.boots;
    const powerOnAt = Date.now();
    this.#log ??= createWriteStream(join(this.folder, 'serial.log'), { flags: 'a' });
    this.#log.write(`=== power on ${boot}, ${new Date(powerOnAt).toISOString()}\n`);
    const child = start(this.#net.inside(this.#net.lan, this.#argv(deadlineMs)), {
      deadlineMs: deadlineMs + 10_000,
      stdin: 'pipe',
      onLine: (raw, from) => {
        const at = Date.now();
        const text = (from === 'err' ? `qemu: ${raw}` : raw).replace(escapes, '').replaceAll('\r', '');
        if (text.trim() === '') return;
        const line = { ms: at - powerOnAt, at, boot, text };
        this.#log?.write(`[${(line.ms / 1000).toFixed(2).padStart(8)}] ${text}\n`);
        this.serial.push(line);
        if (this.serial.length > keepLines) this.serial.splice(0, keepLines / 2);
        for (const listener of [...this.#listeners]) listener(line);
      },
    });
    this.#child = child;
    const off = (exit: Exit): void => {
      if (this.#child === child) this.#child = undefined;
      this.#log?.write(`=== off after ${((Date.now() - powerOnAt) / 1000).toFixed(1)} s\n`);
      for (const listener of [...this.#offListeners]) listener(exit);
    };
    child.exited.then(off, () => off({ code: 1, signal: null, late: false }));
  }

  /** Pulls the plug: what the guest did not write is lost. */
  async powerOff(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    await this.monitor('quit').catch(() => '');
    const gone = child.exited.then(
      () => true,
      () => true,
    );
    if (await Promise.race([gone, sleep(3000, false, { ref: false })])) return;
    await child.stop(2000);
  }

  /** Presses the power button; a guest with ACPI support shuts down. */
  async powerButton(): Promise<void> {
    await this.monitor('system_powerdown');
  }

  async reset(): Promise<void> {
    await this.monitor('system_reset');
  }

  /** Types on the serial line, where the machine prints. */
  type(text: string): void {
    if (this.#child === undefined) throw new Error(`${this.spec.name}: nobody can type, the machine is off`);
    this.#child.write(text);
  }

  /** One command to QEMU's monitor; what it answered. */
  async monitor(command: string): Promise<string> {
    const path = join(this.folder, 'mon');
    if (!existsSync(path)) throw new Error(`${this.spec.name}: no monitor, the machine is off`);
    return await new Promise<string>((resolve, reject) => {
      const socket = connect(path);
      let text = '';
      let asked = false;
      socket.setTimeout(60_000, () => socket.destroy(new Error('monitor does not answer')));
      socket.on('data', (bytes) => {
        text += bytes.toString('utf8');
        if (!text.endsWith('(qemu) ')) return;
        if (asked) return void socket.end();
        asked = true;
        text = '';
        socket.write(`${command}\n`);
      });
      socket.on('error', reject);
      socket.on('close', () => resolve(text.replace(escapes, '')));
    });
  }

  /** The first line that matches, printed from `since` on (index into `serial`; default: all that is there). Fails when the machine goes off. */
  async waitSerial(pattern: RegExp, timeoutMs: number, since = 0): Promise<SerialLine> {
    const there = this.serial.slice(since).find((line) => pattern.test(line.text));
    if (there !== undefined) return there;
    return await new Promise<SerialLine>((resolve, reject) => {
      const done = (act: () => void): void => {
        clearTimeout(timer);
        this.#listeners.delete(onLine);
        this.#offListeners.delete(onOff);
        act();
      };
      const fail = (why: string): void =>
        done(() => reject(new Error(`${this.spec.name}: ${why} while waiting for ${pattern}\n${this.tail(25)}`)));
      const onLine = (line: SerialLine): void => {
        if (pattern.test(line.text)) done(() => resolve(line));
      };
      const onOff = (): void => fail('went off');
      const timer = setTimeout(() => fail(`${Math.round(timeoutMs / 1000)} s passed`), timeoutMs);
      this.#listeners.add(onLine);
      this.#offListeners.add(onOff);
    });
  }

  /** Resolves once it is off; at once when it is. */
  async waitOff(timeoutMs: number): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    const gone = child.exited.then(
      () => true,
      () => true,
    );
    const timer = new AbortController();
    const result = await Promise.race([gone, sleep(timeoutMs, false, { signal: timer.signal }).catch(() => false)]);
    timer.abort();
    if (!result)
      throw new Error(`${this.spec.name}: still on after ${Math.round(timeoutMs / 1000)} s\n${this.tail(25)}`);
  }

  /** The last lines it printed, with seconds since power-on. */
  tail(lines: number): string {
    return this.serial
      .slice(-lines)
      .map((line) => `  [${line.boot}:${(line.ms / 1000).toFixed(1).padStart(6)}] ${line.text.slice(0, 200)}`)
      .join('\n');
  }

  async close(): Promise<void> {
    await this.powerOff();
    await new Promise<void>((resolve) => (this.#log === undefined ? resolve() : this.#log.end(() => resolve())));
    this.#log = undefined;
  }
}
