// The provisioning network: who is at which address, which packets get lost, and the DHCP server of somebody else.
import type { Mac } from '../../controller/src/machine/mac.ts';
import type { Clock } from './clock.ts';
import type { ControllerLife } from './controller.ts';
import type { Machine } from './machine.ts';
import type { Random } from './random.ts';
import type { Witness } from './witness.ts';

export const link = { name: 'lan0', address: '10.80.0.1', prefixLength: 18 };
export const foreignServer = '10.80.0.2';

export interface Lan {
  readonly clock: Clock;
  readonly witness: Witness;
  readonly random: Random;
  /** Of one packet to be lost. */
  readonly loss: number;
  readonly mode: 'proxy' | 'range';
}

export class Network {
  readonly lan: Lan;
  readonly machines: Machine[] = [];
  /** What nix has built on the computer of the controller. */
  readonly store = new Set<string>();
  /** The living one. */
  controller: ControllerLife | undefined;
  readonly #holder = new Map<string, Machine>();
  readonly #byMac = new Map<Mac, Machine>();
  #foreignNext = 0;
  readonly #foreign = new Map<string, string>();

  constructor(lan: Lan) {
    this.lan = lan;
  }

  add(machine: Machine): void {
    this.machines.push(machine);
    for (const mac of machine.host.macs) this.#byMac.set(mac, machine);
  }

  byMac(mac: Mac): Machine | undefined {
    return this.#byMac.get(mac);
  }

  take(address: string, machine: Machine): void {
    const other = this.#holder.get(address);
    this.lan.witness.holds(
      other === undefined || other === machine || other.address !== address,
      machine.host.name,
      `${address} is held by ${other?.host.name} already`,
    );
    this.#holder.set(address, machine);
  }

  /** The machine that has this address now and can be reached. */
  at(address: string): Machine | undefined {
    const machine = this.#holder.get(address);
    return machine?.address === address && machine.linked ? machine : undefined;
  }

  /** What the neighbour table has: also of one that went away a moment ago. */
  neighbour(address: string): Mac | undefined {
    return this.#holder.get(address)?.host.macs[0];
  }

  /** An address of the other server: the same for the same client, another one for another client identifier. */
  foreignLease(client: string): string {
    const known = this.#foreign.get(client);
    if (known !== undefined) return known;
    const number = 256 * 16 + this.#foreignNext++;
    const address = `10.80.${number >> 8}.${number & 255}`;
    if ((number & 255) === 0 || (number & 255) === 255) return this.foreignLease(client);
    this.#foreign.set(client, address);
    return address;
  }

  /** A datagram to the controller and its answer; either may get lost, and some come twice. */
  ask(machine: Machine, bytes: Uint8Array, port: number, source: { address: string; port: number }) {
    const { random, loss, witness } = this.lan;
    if (!machine.linked || random.chance(loss)) return undefined;
    const answer = this.controller?.datagram(bytes, port, source);
    if (random.chance(loss)) {
      const again = this.controller?.datagram(bytes, port, source);
      const same =
        answer === undefined ? again === undefined : again !== undefined && Buffer.from(answer).equals(again);
      witness.holds(same, machine.host.name, 'the same question got two different answers');
    }
    return random.chance(loss) ? undefined : answer;
  }
}
