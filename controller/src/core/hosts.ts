// The hosts of a run as they are now. They may come, change and go while it lasts, so nobody keeps a list of his own: all read this one.
import type { Host } from '../machine/host.ts';
import type { Mac } from '../machine/mac.ts';

/** What readers need of it. */
export interface Hosts {
  all(): readonly Host[];
  named(name: string): Host | undefined;
  /** @param relay behind which the MAC was seen; absent: on our own networks. Two sites may have the same MAC. */
  withMac(mac: Mac, relay?: string): Host | undefined;
  /** It is to be left alone, but what was begun on its disks is brought to its end: it gets no boot file any more. */
  isLeaving(name: string): boolean;
}

export class HostBook implements Hosts {
  readonly #hosts = new Map<string, Host>();
  /** By `macKey`. */
  readonly #byMac = new Map<string, Host>();
  readonly #leaving = new Set<string>();

  constructor(hosts: readonly Host[] = []) {
    for (const host of hosts) this.put(host);
  }

  all(): readonly Host[] {
    return [...this.#hosts.values()];
  }

  named(name: string): Host | undefined {
    return this.#hosts.get(name);
  }

  withMac(mac: Mac, relay?: string): Host | undefined {
    return this.#byMac.get(macKey(mac, relay));
  }

  isLeaving(name: string): boolean {
    return this.#leaving.has(name);
  }

  /** Takes a host in, in place of one of that name. @throws Error when another host has one of its MACs */
  put(host: Host): void {
    const other = host.macs
      .map((mac) => this.#byMac.get(macKey(mac, host.relay)))
      .find((each) => each !== undefined && each.name !== host.name);
    if (other !== undefined) throw new Error(`take in ${host.name}: ${other.name} has one of its MACs`);
    this.remove(host.name);
    this.#hosts.set(host.name, host);
    for (const mac of host.macs) this.#byMac.set(macKey(mac, host.relay), host);
  }

  /** Puts them into this order; those that are not named stay behind the others. */
  arrange(names: Iterable<string>): void {
    const before = new Map(this.#hosts);
    this.#hosts.clear();
    for (const name of [...names, ...before.keys()]) {
      const host = before.get(name);
      if (host !== undefined) this.#hosts.set(name, host);
    }
  }

  leave(name: string): void {
    if (this.#hosts.has(name)) this.#leaving.add(name);
  }

  stay(name: string): void {
    this.#leaving.delete(name);
  }

  remove(name: string): void {
    const host = this.#hosts.get(name);
    for (const mac of host?.macs ?? []) this.#byMac.delete(macKey(mac, host?.relay));
    this.#hosts.delete(name);
    this.#leaving.delete(name);
  }
}

function macKey(mac: Mac, relay: string | undefined): string {
  return relay === undefined ? mac : `${mac} ${relay}`;
}
