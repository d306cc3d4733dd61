// May what the disks of a host hold be lost? The operator consents by `"wipe": true` or `--reinstall NAME`, and an install uses that up: in this run,
// and for a service also in those that come after it. It counts again when it is given anew: taken out and put in once more, by `nixie retry`
// of a machine that was refused, by the other kind, or for a machine with other MACs.
import type { Host } from '../machine/host.ts';
import type { ConsentKind, Consents, UsedConsent } from '../store/consents.ts';

export interface ConsentWorld {
  readonly consents: Consents;
  /** Names of `--reinstall`. */
  readonly reinstall: ReadonlySet<string>;
  /** What was used up before this run counts, too: a service is started anew by others than the operator. */
  readonly endless: boolean;
  warn(text: string, host?: string): void;
}

export class Consent {
  readonly #world: ConsentWorld;
  /** As known in this run, whatever could be written. */
  readonly #here = new Map<string, UsedConsent | undefined>();

  constructor(world: ConsentWorld) {
    this.#world = world;
  }

  mayLoseData(host: Host): boolean {
    const used = this.#usedBy(host);
    return this.#given(host).some((kind) => !used.includes(kind));
  }

  /** It was given, and an install has used it up. */
  isUsedUp(host: Host): boolean {
    return this.#given(host).length > 0 && !this.mayLoseData(host);
  }

  /** An install of it has ended, and nobody has heard of that yet. Never throws. */
  use(host: Host): void {
    const before = this.#get(host.name) ?? this.#world.consents.get(host.name);
    const kinds = new Set([...(before !== undefined && isOf(before, host) ? before.kinds : []), ...this.#given(host)]);
    if (kinds.size > 0) this.#put(host.name, { macs: host.macs, kinds: [...kinds] });
  }

  /** The operator has it tried again, and knows what is on its disks. Never throws. */
  renew(host: string): void {
    if (this.#get(host) !== undefined) this.#put(host, undefined);
  }

  /** These are the hosts from now on: consent that is not given any more counts when it is given anew. */
  settle(hosts: readonly Host[]): void {
    for (const host of hosts) {
      const used = this.#get(host.name);
      if (used === undefined) continue;
      const given = this.#given(host);
      const kinds = isOf(used, host) ? used.kinds.filter((kind) => given.includes(kind)) : [];
      // A machine whose cards are exchanged one after the other stays the same.
      const macs = [...new Set([...(used.macs ?? []), ...host.macs])];
      if (kinds.length === 0) this.#put(host.name, undefined);
      else if (kinds.length !== used.kinds.length || macs.length !== used.macs?.length)
        this.#put(host.name, { macs, kinds });
    }
  }

  #given(host: Host): ConsentKind[] {
    return [
      ...(host.wipe ? ['wipe' as const] : []),
      ...(this.#world.reinstall.has(host.name) ? ['reinstall' as const] : []),
    ];
  }

  #usedBy(host: Host): readonly ConsentKind[] {
    const used = this.#get(host.name);
    return used !== undefined && isOf(used, host) ? used.kinds : [];
  }

  #get(host: string): UsedConsent | undefined {
    if (!this.#here.has(host) && this.#world.endless) this.#here.set(host, this.#world.consents.get(host));
    return this.#here.get(host);
  }

  #put(host: string, used: UsedConsent | undefined): void {
    this.#here.set(host, used);
    try {
      this.#world.consents.put(host, used);
    } catch (error) {
      const then =
        used === undefined
          ? 'a service that is started anew asks for it once more'
          : 'a service that is started anew takes it for unused: take "wipe" out of the hosts file, and --reinstall out of its options';
      this.#world.warn(
        `keep that the consent to lose its data was ${used === undefined ? 'renewed' : 'used up'}: ${(error as Error).message}; ${then}`,
        host,
      );
    }
  }
}

function isOf(used: UsedConsent, host: Host): boolean {
  return used.macs === undefined || used.macs.some((mac) => host.macs.includes(mac));
}
