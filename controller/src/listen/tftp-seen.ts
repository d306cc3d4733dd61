// Of which machine TFTP saw something: it knows addresses, and DHCP's thread, which tells when it has a moment, whose they are.
import type { Mac } from '../machine/mac.ts';
import type { Seen } from './seen.ts';

export interface TftpSeenParts {
  readonly macOfAddress: (interfaceName: string | undefined, address: string) => Mac | undefined;
  readonly machineOfMac: (mac: Mac) => string | undefined;
  /** Has DHCP tell what it knows by now; resolves behind that. */
  readonly hearDhcp: () => Promise<unknown>;
  readonly onSeen: (seen: Seen) => void;
}

export class TftpSeen {
  readonly #parts: TftpSeenParts;
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
    const before = this.#telling ?? Promise.resolve();
    const telling = before
      .then(() => this.#parts.hearDhcp())
      .then(
        () => this.#tell(seen),
        () => this.#tell(seen),
      )
      .then(() => {
        if (this.#telling === telling) this.#telling = undefined;
      });
    this.#telling = telling;
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
