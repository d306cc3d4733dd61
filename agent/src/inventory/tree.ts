// Reading the machine's own files below a root directory. What isn't there, or what a driver doesn't know, is absent; what should have
// been readable and wasn't is noted.
import { readdir, readFile, readlink, realpath } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { ReadError } from '@nixie/proto/inventory';
import { cleanText } from './text.ts';

/** How drivers say "there is none" or "I don't know": SCSI without WWN EINVAL, USB ENXIO, virtio EOPNOTSUPP, a link that is down EINVAL. */
const quiet = new Set(['ENOENT', 'ENOTDIR', 'EINVAL', 'ENXIO', 'EOPNOTSUPP', 'ENOTSUP', 'ENODEV', 'ENODATA']);

const mostErrors = 200;

export class Tree {
  readonly root: string;
  readonly section: string;
  readonly #errors: ReadError[];

  constructor(root: string, section: string, errors: ReadError[]) {
    this.root = root;
    this.section = section;
    this.#errors = errors;
  }

  /** Where a path of the machine lies on ours. */
  at(path: string): string {
    return join(this.root, path);
  }

  /** @param always also for the codes that elsewhere only mean that there is nothing */
  note(path: string, error: unknown, always = false): void {
    const code = typeof error === 'string' ? error : ((error as NodeJS.ErrnoException).code ?? 'error');
    if ((always || !quiet.has(code)) && this.#errors.length < mostErrors)
      this.#errors.push({ section: this.section, path, code });
  }

  async raw(path: string): Promise<Buffer | undefined> {
    try {
      return await readFile(this.at(path));
    } catch (error) {
      this.note(path, error);
      return undefined;
    }
  }

  /** The whole file as text. */
  async text(path: string): Promise<string | undefined> {
    return (await this.raw(path))?.toString('utf8');
  }

  /** One value: trimmed, without control bytes; absent when nothing is left. */
  async value(path: string): Promise<string | undefined> {
    const raw = await this.raw(path);
    return raw && cleanText(raw.toString('utf8'));
  }

  /** A count: digits only. `-1`, `unknown` and the like are absent. */
  async count(path: string): Promise<number | undefined> {
    const value = await this.value(path);
    return value !== undefined && /^\d{1,15}$/.test(value) ? Number(value) : undefined;
  }

  async flag(path: string): Promise<boolean | undefined> {
    const value = await this.value(path);
    return value === '1' ? true : value === '0' ? false : undefined;
  }

  /** Names in a folder, sorted; none when it isn't there. */
  async list(path: string): Promise<string[]> {
    try {
      return (await readdir(this.at(path))).sort();
    } catch (error) {
      this.note(path, error);
      return [];
    }
  }

  /** The text of a symbolic link. */
  async link(path: string): Promise<string | undefined> {
    try {
      return await readlink(this.at(path));
    } catch (error) {
      this.note(path, error);
      return undefined;
    }
  }

  /** Where a path really leads, as a path of the machine: `/sys/devices/pci0000:00/…`. */
  async real(path: string): Promise<string | undefined> {
    try {
      const [whole, root] = await Promise.all([realpath(this.at(path)), realpath(this.root)]);
      const inside = relative(root, whole);
      return inside.startsWith('..') ? undefined : `/${inside}`;
    } catch (error) {
      this.note(path, error);
      return undefined;
    }
  }
}
