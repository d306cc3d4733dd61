// Reading what a machine says of itself. What isn't there, or what a driver doesn't know, is absent; what should have been readable and
// wasn't is noted.
import { join } from 'node:path';
import type { ReadError } from '@nixie/proto/inventory';
import type { Source } from './source.ts';
import { cleanText, countList } from './text.ts';

/** How drivers say "there is none" or "I don't know": SCSI without WWN EINVAL, USB ENXIO, virtio EOPNOTSUPP, a link that is down EINVAL. */
const quiet = new Set(['ENOENT', 'ENOTDIR', 'EINVAL', 'ENXIO', 'EOPNOTSUPP', 'ENOTSUP', 'ENODEV', 'ENODATA']);

const mostErrors = 200;

export class Tree {
  readonly source: Source;
  readonly section: string;
  readonly #errors: ReadError[];

  constructor(source: Source, section: string, errors: ReadError[]) {
    this.source = source;
    this.section = section;
    this.#errors = errors;
  }

  /** Where a path of the machine lies on ours. */
  at(path: string): string {
    return join(this.source.root, path);
  }

  /** @param always also for the codes that elsewhere only mean that there is nothing */
  note(path: string, error: unknown, always = false): void {
    const code = typeof error === 'string' ? error : ((error as NodeJS.ErrnoException).code ?? 'error');
    if (!always && quiet.has(code)) return;
    if (this.#errors.length >= mostErrors) return;
    if (this.noted(path, code)) return;
    this.#errors.push({ section: this.section, path, code });
  }

  /** Was it said in this section? */
  noted(path: string, code: string): boolean {
    return this.#errors.some((each) => each.section === this.section && each.path === path && each.code === code);
  }

  async raw(path: string): Promise<Buffer | undefined> {
    try {
      return await this.source.read(path);
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

  /** A list of the kernel's such as `0-3,8`, as it is: cut to the length of other texts it would be another one. */
  async numbers(path: string): Promise<string | undefined> {
    const list = (await this.text(path))?.trim();
    return countList(list) === undefined ? undefined : list;
  }

  /** A count: digits only. `-1`, `unknown` and the like are absent. */
  async count(path: string): Promise<number | undefined> {
    const value = await this.value(path);
    return value !== undefined && /^\d{1,15}$/.test(value) ? Number(value) : undefined;
  }

  /** A count that a 32-bit field can carry: 4294967295 is -1 in the eyes of some drivers, and 0 only where it means something. */
  async small(path: string, least = 0): Promise<number | undefined> {
    const count = await this.count(path);
    return count !== undefined && count >= least && count < 4_294_967_295 ? count : undefined;
  }

  async flag(path: string): Promise<boolean | undefined> {
    const value = await this.value(path);
    return value === '1' ? true : value === '0' ? false : undefined;
  }

  /** `0x8086` as `8086`, at least so many digits. */
  async hex(path: string, digits: number): Promise<string | undefined> {
    const found = /^(?:0x)?([0-9a-f]{1,8})$/i.exec((await this.value(path)) ?? '')?.[1];
    return found?.toLowerCase().padStart(digits, '0');
  }

  /** Names in a folder, sorted; none when it isn't there. */
  async list(path: string): Promise<string[]> {
    try {
      return await this.source.list(path);
    } catch (error) {
      this.note(path, error);
      return [];
    }
  }

  /** The text of a symbolic link. */
  async link(path: string): Promise<string | undefined> {
    try {
      return await this.source.link(path);
    } catch (error) {
      this.note(path, error);
      return undefined;
    }
  }

  /** The last word of a symbolic link: the name of a driver, of a group. */
  async linkName(path: string): Promise<string | undefined> {
    return (await this.link(path))?.split('/').pop();
  }

  /** Where a path really leads, as a path of the machine: `/sys/devices/pci0000:00/…`. */
  async real(path: string): Promise<string | undefined> {
    try {
      return await this.source.real(path);
    } catch (error) {
      this.note(path, error);
      return undefined;
    }
  }

  /**
   * Text that a program printed; undefined, with a note, when it isn't installed, fails or takes too long.
   * @param accept exit statuses besides 0 with which it still has something to say
   */
  async program(
    argv: readonly string[],
    deadlineMs: number,
    accept = (_: number): boolean => false,
  ): Promise<string | undefined> {
    const { code, stdout, why } = await this.source.run(argv, deadlineMs);
    if (code !== undefined && why === undefined && (code === 0 || accept(code))) return stdout;
    if (why === 'ENOENT') this.note(argv[0]!, 'not-installed', true);
    else this.note(why === 'not-recorded' ? argv[0]! : argv.join(' '), why ?? `status-${code}`, true);
    return undefined;
  }
}

/** What was printed, as JSON; undefined when it is none. Never throws. */
export function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
