// What took too long to be told at registration: the full inventory, the raw SMBIOS table, nixos-facter's report or why
// there is none. It is gathered beside
// everything else once there is a session, and told again in each later one: nobody knows what a connection that broke still carried.
import { gzipSync } from 'node:zlib';
import { HardwareReport } from '@nixie/proto/agent';
import type { Inventory, LldpNeighbour } from '@nixie/proto/inventory';
import type { Clock, Log } from './host.ts';
import type { FacterResult } from './inventory/facter.ts';

/** The controller takes 4 MiB in one message. */
export const mostReportBytes = (4 << 20) - (64 << 10);

/** @returns false when the line is full: then it was not sent */
export type SendReport = (report: HardwareReport) => boolean;

export interface HardwareParts {
  readonly collect: () => Promise<Inventory>;
  /** By card. Undefined where nobody listens. */
  readonly neighbours: () => Promise<ReadonlyMap<string, LldpNeighbour[]> | undefined>;
  /** Raw table; undefined where there is none. */
  readonly smbios: () => Promise<Buffer | undefined>;
  readonly facter: () => Promise<FacterResult>;
  /** The burst of work is over. */
  readonly gathered: () => void;
  readonly clock: Clock;
  readonly log: Pick<Log, 'info'>;
  readonly signal: AbortSignal;
}

/** Switches speak every 30 seconds (IEEE 802.1AB 9.2.5.7). */
const listenMs = 35_000;
/** The disks' layout goes first; and a session that is refused is over before. */
const settleMs = 1500;
const retryMs = 1000;

/** Holds the newest report of each kind, and tells each session what it has not been told. */
export class HardwareReports {
  readonly #parts: HardwareParts;
  readonly #newest = new Map<string, HardwareReport>();
  #untold = new Set<string>();
  #session: AbortController | undefined;
  #send: SendReport | undefined;
  #gathering = false;
  #telling = false;

  constructor(parts: HardwareParts) {
    this.#parts = parts;
  }

  /** Given by the session: how to send; undefined when it is over. */
  carry(send: SendReport | undefined): void {
    this.#session?.abort();
    this.#session = undefined;
    this.#send = send;
    if (send === undefined) return;
    this.#session = new AbortController();
    this.#untold = new Set(this.#newest.keys());
    const { clock, log, signal } = this.#parts;
    if (this.#gathering) {
      const { signal: over } = this.#session;
      // Many agents come back at once.
      clock
        .sleep(settleMs + clock.random() * 5000, over)
        .then(() => this.#tell())
        .catch((error: unknown) => log.info(`hardware report: ${error}`));
      return;
    }
    this.#gathering = true;
    clock
      .sleep(settleMs, signal)
      .then(() => this.#gather())
      .catch((error: unknown) => log.info(`hardware report: ${error}`));
  }

  async #gather(): Promise<void> {
    const { collect, neighbours, smbios, facter, clock, log, signal } = this.#parts;
    if (signal.aborted) return;
    const inventory = await collect();
    await this.#add({ content: { $case: 'inventory', value: inventory } });
    const table = await smbios();
    if (table !== undefined) await this.#add({ content: { $case: 'smbiosGzip', value: gzipSync(table) } });
    const report = await facter();
    if ('json' in report)
      await this.#add({
        content: {
          $case: 'facter',
          value: { jsonGzip: gzipSync(report.json), jsonBytes: BigInt(report.json.length) },
        },
      });
    else {
      if (report.why !== 'not-installed') log.info(`nixos-facter: ${report.why}`);
      // Somebody may be waiting for it.
      await this.#add({ content: { $case: 'facterMissing', value: { why: report.why } } });
    }
    this.#parts.gathered();

    if (inventory.errors.some(({ path }) => path === 'lldpcli')) return;
    await clock.sleep(listenMs, signal);
    const heard = signal.aborted ? undefined : await neighbours();
    if (heard === undefined) return;
    const nics = inventory.nics.map((nic) => ({ ...nic, lldp: heard.get(nic.name) ?? nic.lldp }));
    if (JSON.stringify(nics.map(({ lldp }) => lldp)) === JSON.stringify(inventory.nics.map(({ lldp }) => lldp))) return;
    await this.#add({ content: { $case: 'inventory', value: { ...inventory, nics } } });
  }

  async #add(report: HardwareReport): Promise<void> {
    const kind = report.content?.$case ?? '';
    const bytes = HardwareReport.encode(report).finish().length;
    if (bytes > mostReportBytes) {
      this.#parts.log.info(`hardware report: ${kind} has ${bytes} bytes, more than ${mostReportBytes}: not sent`);
      return;
    }
    this.#newest.set(kind, report);
    this.#untold.add(kind);
    await this.#tell();
  }

  /** Sends what this session has not been told; waits where its line is full. */
  async #tell(): Promise<void> {
    if (this.#telling) return;
    this.#telling = true;
    try {
      for (;;) {
        const [session, send, kind] = [this.#session, this.#send, [...this.#untold][0]];
        if (session === undefined || send === undefined || kind === undefined) return;
        if (send(this.#newest.get(kind)!)) this.#untold.delete(kind);
        else await this.#parts.clock.sleep(retryMs, session.signal);
      }
    } finally {
      this.#telling = false;
    }
  }
}
