// What is told at registration, gathered beside the making of the connection: neither needs the other, and both wait for others.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Inventory } from '@nixie/proto/inventory';
import type { Clock } from './host.ts';

/** What was gathered longer ago is gathered anew. */
const freshMs = 3000;

/** Names of the disks, and what udev calls them: disks come late, and what registers without one is refused when it has one. */
export function diskNamesNow(root: string): string {
  const names = ['sys/block', 'dev/disk/by-id', 'dev/disk/by-path'].map((folder) => {
    try {
      return readdirSync(join(root, folder)).sort().join();
    } catch {
      return '';
    }
  });
  return names.join('\n');
}

/** Marks the cards that have the address by which the controller was reached. */
export function markReached(inventory: Inventory, address: string): Inventory {
  const nics = inventory.nics.map((nic) => ({
    ...nic,
    reached: nic.addresses.some((cidr) => cidr.split('/')[0] === address),
  }));
  return { ...inventory, nics };
}

export class FirstInventory {
  readonly #collect: () => Promise<Inventory>;
  readonly #glance: () => string;
  readonly #clock: Pick<Clock, 'ticks'>;
  #begun: Promise<Inventory> | undefined;
  #at = 0;
  #seen = '';

  /**
   * @param collect reads what this machine is, without knowing which of its addresses reached the controller
   * @param glance tells something else when there are other disks than before
   */
  constructor(collect: () => Promise<Inventory>, glance: () => string, clock: Pick<Clock, 'ticks'>) {
    this.#collect = collect;
    this.#glance = glance;
    this.#clock = clock;
  }

  /** Begins, once: the first attempt to reach the controller is the one that usually does. */
  begin(): void {
    if (this.#begun !== undefined) return;
    this.#at = this.#clock.ticks();
    this.#seen = this.#glance();
    this.#begun = this.#collect();
    // Whoever takes it hears of it.
    this.#begun.catch(() => {});
  }

  /** What was begun if it still holds, else anew. @param address by which the controller was reached */
  async take(address: string): Promise<Inventory> {
    const fresh = this.#begun !== undefined && this.#clock.ticks() - this.#at < freshMs;
    if (fresh) {
      const found = markReached(await this.#begun!, address);
      // An address that came after the cards were read is on none of them; one of loopback never is.
      const told = /^(?:127\.|::1$)/.test(address) || found.nics.some(({ reached }) => reached);
      if (told && this.#glance() === this.#seen) return found;
    }
    return markReached(await this.#collect(), address);
  }
}
