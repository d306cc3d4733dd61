// The image on its way into a file: chunks are written where they belong as they come, beside the name that it gets when it is whole.
import { createHash } from 'node:crypto';
import { type FileHandle, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ChunkSet, chunkPlace, type ImageManifest } from '@nixie/proto/fleet';

export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export class ImageFile {
  readonly manifest: ImageManifest;
  /** Chunks that are in the file, each looked at. Shared with whoever chooses and serves. */
  readonly have: ChunkSet;
  readonly #handle: FileHandle;
  readonly #path: string;
  #whole: boolean;

  private constructor(manifest: ImageManifest, path: string, handle: FileHandle, have: ChunkSet, whole: boolean) {
    this.manifest = manifest;
    this.#path = path;
    this.#handle = handle;
    this.have = have;
    this.#whole = whole;
  }

  /** Goes on with what an earlier run left in `PATH` or `PATH.part`: every chunk there is hashed. Rejects when it can't be written. */
  static async open(path: string, manifest: ImageManifest): Promise<ImageFile> {
    const whole = await ImageFile.#look(path, manifest, 'r');
    if (whole !== undefined) {
      if (whole.have.complete) return new ImageFile(manifest, path, whole.handle, whole.have, true);
      await whole.handle.close();
      await rm(path);
    }
    const part = `${path}.part`;
    const begun = await ImageFile.#look(part, manifest, 'r+');
    if (begun !== undefined) return new ImageFile(manifest, path, begun.handle, begun.have, false);
    const handle = await open(part, 'w+', 0o644);
    // It takes its place as it fills: a file system in memory must not be asked for all of it at once.
    await handle.truncate(manifest.bytes);
    return new ImageFile(manifest, path, handle, new ChunkSet(manifest.chunks.length), false);
  }

  static async #look(
    path: string,
    manifest: ImageManifest,
    flags: 'r' | 'r+',
  ): Promise<{ handle: FileHandle; have: ChunkSet } | undefined> {
    let handle: FileHandle;
    try {
      handle = await open(path, flags);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
    const have = new ChunkSet(manifest.chunks.length);
    const { size } = await handle.stat();
    const buffer = Buffer.allocUnsafe(chunkPlace(manifest, 0).bytes);
    for (let chunk = 0; size === manifest.bytes && chunk < manifest.chunks.length; chunk++) {
      const { at, bytes } = chunkPlace(manifest, chunk);
      const { bytesRead } = await handle.read(buffer, 0, bytes, at);
      if (bytesRead === bytes && sha256Of(buffer.subarray(0, bytes)) === manifest.chunks[chunk]) have.add(chunk);
    }
    if (size === manifest.bytes) return { handle, have };
    if (flags === 'r+') await handle.truncate(manifest.bytes);
    return { handle, have };
  }

  /** Takes in chunks that lie in a folder under their hashes, each looked at, and takes them away there. Gives how many it took. */
  async takeFrom(folder: string): Promise<number> {
    let took = 0;
    for (const [chunk, hash] of this.manifest.chunks.entries()) {
      if (this.have.has(chunk)) continue;
      const path = join(folder, hash);
      const size = await stat(path).then(
        (facts) => facts.size,
        () => undefined,
      );
      // Nothing else is read into memory.
      if (size !== chunkPlace(this.manifest, chunk).bytes) continue;
      const bytes = await readFile(path);
      if (!this.right(chunk, bytes)) continue;
      await this.write(chunk, bytes);
      this.have.add(chunk);
      took += 1;
    }
    // Not before, as equal chunks have one file.
    for (const hash of took > 0 ? this.manifest.chunks : []) await rm(join(folder, hash), { force: true });
    return took;
  }

  get haveBytes(): number {
    const last = this.manifest.chunks.length - 1;
    const each = chunkPlace(this.manifest, 0).bytes;
    const short = each - chunkPlace(this.manifest, last).bytes;
    return this.have.count * each - (this.have.has(last) ? short : 0);
  }

  /** Is this the chunk? */
  right(chunk: number, bytes: Uint8Array): boolean {
    return bytes.length === chunkPlace(this.manifest, chunk).bytes && sha256Of(bytes) === this.manifest.chunks[chunk];
  }

  /** Writes a chunk that is right; it isn't in `have` yet. Rejects when there is no room. */
  async write(chunk: number, bytes: Uint8Array): Promise<void> {
    const { at } = chunkPlace(this.manifest, chunk);
    let written = 0;
    while (written < bytes.length)
      written += (await this.#handle.write(bytes, written, bytes.length - written, at + written)).bytesWritten;
  }

  /** @param into as long as a chunk; gives the part that it fills */
  async read(chunk: number, into: Buffer): Promise<Buffer> {
    const { at, bytes } = chunkPlace(this.manifest, chunk);
    const { bytesRead } = await this.#handle.read(into, 0, bytes, at);
    if (bytesRead !== bytes) throw new Error(`read chunk ${chunk} of ${this.#path}: ${bytesRead} of ${bytes} bytes`);
    return into.subarray(0, bytes);
  }

  /** All chunks are there: it gets its name. */
  async finish(): Promise<void> {
    if (!this.have.complete) throw new Error(`${this.#path} is not whole`);
    if (!this.#whole) await rename(`${this.#path}.part`, this.#path);
    this.#whole = true;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}
