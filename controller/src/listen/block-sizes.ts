// TFTP blocks that fit the way to a machine. Some tunnel or switch on it may carry less than our interface and tell nobody: then small packets pass (the
// request, the options) and the first full block never does, however often it is sent. Such a machine asks again, and gets smaller blocks.

/** Bytes of data: for packets of 1412 (most tunnels), of 1280 (the least that IPv6 allows), and what every machine takes (RFC 1350). */
const smaller = [1380, 1248, 512] as const;
const rememberedForMs = 3600_000;
const mostAddresses = 1024;

/** By the client's address; bounded, and forgotten after an hour. */
export class BlockSizes {
  readonly #most = new Map<string, { readonly bytes: number; readonly atMs: number }>();

  /** The largest block to agree on; undefined: as the interface has it. */
  most(address: string, nowMs: number): number | undefined {
    const found = this.#most.get(address);
    if (found === undefined) return undefined;
    if (nowMs - found.atMs < rememberedForMs) return found.bytes;
    this.#most.delete(address);
    return undefined;
  }

  /** No block of this size was ever acknowledged, and each was sent several times. */
  failed(address: string, blockSize: number, nowMs: number): void {
    const bytes = smaller.find((size) => size < blockSize);
    if (bytes === undefined) return;
    this.#most.delete(address);
    this.#most.set(address, { bytes, atMs: nowMs });
    if (this.#most.size > mostAddresses) this.#most.delete(this.#most.keys().next().value!);
  }
}
