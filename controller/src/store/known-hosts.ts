// The operator's known_hosts file: proved keys are added, and an earlier key of the same machine gives way to the proved one.
import { chownSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';

/** What a proved machine is called. Behind a relay addresses are those of its site, and may be another machine's where the operator is. */
export function knownAs(host: string, address: string | undefined, relay: string | undefined): string[] {
  return address === undefined || relay !== undefined ? [host] : [host, address];
}

/** The text with these names known by this key. Other lines stay as they are; a line that names one of them with others loses only that name. */
export function withKnownHost(text: string, names: readonly string[], key: string): string {
  const kept: string[] = [];
  const [type] = key.split(' ');
  for (const line of text.split('\n')) {
    // sshd(8): fields are separated by blanks and tabs, and more of them may stand before the first.
    const words = line
      .replace(/\r$/, '')
      .split(/[ \t]+/)
      .filter((word) => word !== '');
    if (line.trim() === '' || /^[#@|]/.test(words[0] ?? '#') || words[1] !== type) {
      if (line.trim() !== '') kept.push(line);
      continue;
    }
    const before = words[0]!.split(',');
    const others = before.filter((name) => !names.includes(name));
    if (others.length === before.length) kept.push(line);
    else if (others.length > 0) kept.push([others.join(','), ...words.slice(1)].join(' '));
  }
  kept.push(`${names.join(',')} ${key}`);
  return `${kept.join('\n')}\n`;
}

/** Adds to `file`, made with mode 0600 when it isn't there; replaced in one step. */
export function addKnownHost(file: string, names: readonly string[], key: string): void {
  let text = '';
  let mode = 0o600;
  let owner: { uid: number; gid: number } | undefined;
  try {
    text = readFileSync(file, 'utf8');
    const found = statSync(file);
    mode = found.mode & 0o777;
    owner = { uid: found.uid, gid: found.gid };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const fresh = `${file}.nixie-${process.pid}`;
  writeFileSync(fresh, withKnownHost(text, names, key), { mode });
  if (owner !== undefined) chown(fresh, owner);
  renameSync(fresh, file);
}

function chown(file: string, owner: { uid: number; gid: number }): void {
  try {
    chownSync(file, owner.uid, owner.gid);
  } catch {
    // Only root may give files away; then it was ours before.
  }
}
