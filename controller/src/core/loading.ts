// How many bytes of kernel and initrd each machine has fetched, of how many: the servers count each file of each connection for itself.
import type { System } from '../machine/host.ts';

/** By the boot stage. */
const isFetched = (name: string): boolean => name.endsWith('/image') || name.endsWith('/manifest');

export class Loading {
  /** Bytes of each file of an installer, by the name it is served under. */
  readonly #sizes = new Map<System, ReadonlyMap<string, number>>();
  readonly #sent = new Map<string, Map<string, number>>();

  take(system: System, sizes: ReadonlyMap<string, number>): void {
    this.#sizes.set(system, sizes);
  }

  /** What each machine of a platform is sent by us alone, and what machines get from each other, bytes. */
  sizes(system: System): { readonly bootBytes: number; readonly imageBytes: number } {
    const files = [...(this.#sizes.get(system) ?? [])];
    const sum = (image: boolean): number =>
      files.reduce(
        (all, [name, bytes]) => all + (name.endsWith('/image') === image && !name.endsWith('/manifest') ? bytes : 0),
        0,
      );
    return { bootBytes: sum(false), imageBytes: sum(true) };
  }

  /** Its boot script was fetched: it begins anew. */
  begin(host: string): void {
    this.#sent.delete(host);
  }

  /** Undefined: the file is not of this system's installer. */
  sent(
    host: string,
    system: System,
    file: string,
    bytes: number,
  ): { done: number; total: number; paused: boolean } | undefined {
    const sizes = this.#sizes.get(system);
    if (sizes?.has(file) !== true) return undefined;
    const files = this.#sent.get(host) ?? new Map<string, number>();
    this.#sent.set(host, files.set(file, Math.max(files.get(file) ?? 0, bytes)));
    const sum = (values: Iterable<number>): number => [...values].reduce((all, each) => all + each, 0);
    const { bootBytes, imageBytes } = this.sizes(system);
    const done = sum(files.values());
    // All but the manifest, which the boot stage fetches itself.
    const own = [...files].reduce((all, [name, each]) => all + (isFetched(name) ? 0 : each), 0);
    const paused = imageBytes > 0 && done === own && own === bootBytes;
    return { done, total: sum(sizes.values()), paused };
  }
}
