// Who may log in as root during the install: the lines that the controller handed over at registration, or later in their place.
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

const marker = '# handed over by the controller at registration';

/** A line that OpenSSH would read as a key with its options, without control bytes. */
export function isKeyLine(line: string): boolean {
  if (line.length > 16_384 || /[\x00-\x08\x0a-\x1f\x7f]/.test(line)) return false;
  return /(?:^|[\s,"])(?:ssh-(?:ed25519|rsa|dss)|ecdsa-sha2-nistp\d+|sk-(?:ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)\s+[A-Za-z0-9+/]{16,}={0,3}(?:\s|$)/.test(
    line,
  );
}

/**
 * The file's new text: what was there stays (the image's own keys), what an earlier registration put there is replaced.
 * Doing it again changes nothing.
 */
export function mergeKeys(before: string, lines: readonly string[]): string {
  const kept = before.split('\n').filter((line) => line.trim() !== '');
  const start = kept.indexOf(marker);
  const own = start < 0 ? kept : kept.slice(0, start);
  const known = new Set(own);
  const wanted = [...new Set(lines.map((line) => line.trim()))].filter((line) => isKeyLine(line) && !known.has(line));
  return `${[...own, marker, ...wanted].join('\n')}\n`;
}

/**
 * Puts the lines into root's authorized_keys: file 0600, folder 0700, replaced in one step.
 * @returns lines refused because they are no key lines
 */
export function installKeys(file: string, lines: readonly string[]): string[] {
  let before = '';
  try {
    before = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
      throw new Error(`read ${file}: ${(error as Error).message}`, { cause: error });
  }
  const folder = dirname(file);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  chmodSync(folder, 0o700);
  writeFileSync(`${file}.new`, mergeKeys(before, lines), { mode: 0o600 });
  chmodSync(`${file}.new`, 0o600);
  renameSync(`${file}.new`, file);
  return lines.filter((line) => !isKeyLine(line.trim()));
}
