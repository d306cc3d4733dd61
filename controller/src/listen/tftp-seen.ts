// Of which machine TFTP saw something: it knows addresses, and DHCP's thread, which tells when it has a moment, whose they are.
import type { Mac } from '../machine/mac.ts';
import type { Seen } from './seen.ts';

export interface TftpSeenParts {
  readonly macOfAddress: (interfaceName: string | undefined, address: string) => Mac | undefined;
  readonly machineOfMac: (mac: Mac) => string | undefined;
  /** Has DHCP tell what it knows by now; resolves behind that. */
  readonly hearDhcp: () => Promise<unknown>;
  readonly onSeen: (seen: Seen) => void;
  /** So many could not wait. */
  readonly onDropped: (count: number) => void;
}

/** As many as wait while DHCP is asked: two full batches of a thread. */
const mostWaiting = 4000;

export class TftpSeen {
  readonly #parts: TftpSeenParts;
  #waiting: Seen[] = [];
  #telling: Promise<void> | undefined;

  constructor(parts: TftpSeenParts) {
    this.#parts = parts;
  }

  /** Tells of all in their order: at once, or when DHCP was asked who it is. Where that can't be asked any more they are told as they are. */
  tell(seen: readonly Seen[]): void {
    if (this.#telling === undefined && seen.every((one) => this.#isKnown(one))) {
      this.#tell(seen);
      return;
    }
    const room = mostWaiting - this.#waiting.length;
    this.#waiting.push(...seen.slice(0, room));
    if (seen.length > room) this.#parts.onDropped(seen.length - room);
    this.#telling ??= this.#askAndTell();
  }

  /** One question is for all that wait by then. */
  async #askAndTell(): Promise<void> {
    try {
      while (this.#waiting.length > 0) {
        const seen = this.#waiting;
        this.#waiting = [];
        await this.#parts.hearDhcp().catch(() => undefined);
        this.#tell(seen);
      }
    } finally {
      this.#telling = undefined;
    }
  }

  /** Resolves when all is told. */
  async told(): Promise<void> {
    await this.#telling;
  }

  #isKnown({ interface: name, address }: Seen): boolean {
    return address === undefined || this.#parts.macOfAddress(name, address) !== undefined;
  }

  #tell(seen: readonly Seen[]): void {
    for (const one of seen) {
      const mac = one.address === undefined ? undefined : this.#parts.macOfAddress(one.interface, one.address);
      const machine = mac === undefined ? undefined : this.#parts.machineOfMac(mac);
      this.#parts.onSeen({ ...one, ...(mac && { mac }), ...(machine !== undefined && { machine }) });
    }
  }
}
