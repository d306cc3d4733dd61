// Which machine was last heard to use an address, on which interface: two of them may have the same private addresses.
import type { Mac } from '../machine/mac.ts';
import { anyAddress } from '../wire/dhcp4/address.ts';

/** Of those last heard at least so many are remembered, for each interface, and never more than twice as many. */
export const addressesRemembered = 4096;

export interface AddressUse {
  readonly interface: string;
  readonly address: string;
  readonly mac: Mac;
}

export class AddressUsers {
  readonly #ofInterface = new Map<string, Halves>();

  /** False: that was known. */
  saw(interfaceName: string, address: string, mac: Mac): boolean {
    if (address === anyAddress) return false;
    let halves = this.#ofInterface.get(interfaceName);
    if (halves === undefined) {
      halves = new Halves();
      this.#ofInterface.set(interfaceName, halves);
    }
    return halves.set(address, mac);
  }

  of(interfaceName: string | undefined, address: string): Mac | undefined {
    return interfaceName === undefined ? undefined : this.#ofInterface.get(interfaceName)?.get(address);
  }
}

/** What nobody used while the younger half filled up goes with the older one. Putting every use into an order would cost more than the answer. */
class Halves {
  #younger = new Map<string, Mac>();
  #older = new Map<string, Mac>();

  set(address: string, mac: Mac): boolean {
    if (this.#younger.get(address) === mac) return false;
    if (this.#younger.size >= addressesRemembered) {
      this.#older = this.#younger;
      this.#younger = new Map();
    }
    this.#younger.set(address, mac);
    return true;
  }

  get(address: string): Mac | undefined {
    return this.#younger.get(address) ?? this.#older.get(address);
  }
}
