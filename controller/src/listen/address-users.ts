// Which machine was last heard to use an address, on which interface: two of them may have the same private addresses.
import type { Mac } from '../machine/mac.ts';
import { anyAddress } from '../wire/dhcp4/address.ts';

/** Of those last heard at least so many are remembered, for each interface, and never more than twice as many. */
export const addressesRemembered = 4096;

export class AddressUsers {
  readonly #ofInterface = new Map<string, Halves>();

  saw(interfaceName: string, address: string, mac: Mac): void {
    if (address === anyAddress) return;
    let halves = this.#ofInterface.get(interfaceName);
    if (halves === undefined) {
      halves = new Halves();
      this.#ofInterface.set(interfaceName, halves);
    }
    halves.set(address, mac);
  }

  of(interfaceName: string | undefined, address: string): Mac | undefined {
    return interfaceName === undefined ? undefined : this.#ofInterface.get(interfaceName)?.get(address);
  }
}

/** What nobody used while the younger half filled up goes with the older one. Putting every use into an order would cost more than the answer. */
class Halves {
  #younger = new Map<string, Mac>();
  #older = new Map<string, Mac>();

  set(address: string, mac: Mac): void {
    if (this.#younger.get(address) === mac) return;
    if (this.#younger.size >= addressesRemembered) {
      this.#older = this.#younger;
      this.#younger = new Map();
    }
    this.#younger.set(address, mac);
  }

  get(address: string): Mac | undefined {
    return this.#younger.get(address) ?? this.#older.get(address);
  }
}
