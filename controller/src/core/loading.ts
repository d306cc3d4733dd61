// How many bytes of kernel and initrd each machine has fetched, of how many: the servers count each file of each connection for itself.
import type { System } from '../machine/host.ts';

export class Loading {
  /** Bytes of each file of an installer, by the name it is served under. */
  readonly #sizes = new Map<System, ReadonlyMap<string, number>>();
  readonly #sent = new Map<string, Map<string, number>>();

  take(system: System, sizes: ReadonlyMap<string, number>): void {
    this.#sizes.set(system, sizes);
  }

  /** Its boot script was fetched: it begins anew. */
  begin(host: string): void {
    this.#sent.delete(host);
  }

  /** Undefined: the file is not of this system's installer. */
  sent(host: string, system: System, file: string, bytes: number): { done: number; total: number } | undefined {
    const sizes = this.#sizes.get(system);
    if (sizes?.has(file) !== true) return undefined;
    const files = this.#sent.get(host) ?? new Map<string, number>();
    this.#sent.set(host, files.set(file, Math.max(files.get(file) ?? 0, bytes)));
    const sum = (values: Iterable<number>): number => [...values].reduce((all, each) => all + each, 0);
    return { done: sum(files.values()), total: sum(sizes.values()) };
  }
}
