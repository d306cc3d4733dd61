// Where nix on this machine looks for store paths: the controller's binary cache, or that of the relay between. Root's own settings are the place,
// because the system's lie in the store. Nothing is believed but what the key has signed, and whatever fails there is pushed by ssh.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { isIPv4, isIPv6 } from 'node:net';
import { dirname } from 'node:path';
import type { UseCache } from '@nixie/proto/agent';

const begin = '# binary cache of the controller, for this boot';
const end = '# end of it';

/** `IP:port` or `[IP]:port` → the address as it stands in a URL. */
function addressOf(endpoint: string): string | undefined {
  const address = /^\[([0-9a-fA-F:.]+)\]:\d+$/.exec(endpoint)?.[1] ?? /^([0-9.]+):\d+$/.exec(endpoint)?.[1];
  if (address === undefined) return undefined;
  return isIPv4(address) ? address : isIPv6(address) ? `[${address}]` : undefined;
}

/**
 * The settings for this cache; none for an empty key.
 * @param endpoint `IP:port` of the controller or relay that the session is held with
 * @throws Error naming what can't stand in nix's settings
 */
export function cacheSettings(cache: UseCache, endpoint: string): string[] {
  if (cache.publicKey === '') return [];
  const address = addressOf(endpoint);
  if (address === undefined)
    throw new Error(`binary cache: the session is held with ${JSON.stringify(endpoint)}, want IP:port`);
  if (cache.port < 1 || cache.port > 65_535)
    throw new Error(`binary cache: port: found ${cache.port}, want 1 to 65535`);
  if (!/^(?:\/[A-Za-z0-9._-]+)*$/.test(cache.path) || cache.path.length > 100)
    throw new Error(`binary cache: path: found ${JSON.stringify(cache.path.slice(0, 100))}, want one like /nix`);
  if (!/^[A-Za-z0-9._-]{1,100}:[A-Za-z0-9+/]{43}=$/.test(cache.publicKey))
    throw new Error('binary cache: public_key: want NAME:BASE64 of an ed25519 key');
  return [
    begin,
    `extra-substituters = http://${address}:${cache.port}${cache.path}`,
    `extra-trusted-public-keys = ${cache.publicKey}`,
    // It is near: who does not answer soon is not there.
    'connect-timeout = 3',
    'download-attempts = 1',
    'stalled-download-timeout = 30',
    // One path that can't be had is pushed, and the others go on.
    'fallback = true',
    'keep-going = true',
    // What the cache did not have a moment ago it may have now.
    'narinfo-cache-negative-ttl = 0',
    // Until nix 2.16 so many paths are fetched at a time, too.
    'max-jobs = 8',
    end,
  ];
}

/** The file's new text: what others wrote stays, what an earlier cache left is replaced. Doing it again changes nothing. */
export function mergeSettings(before: string, settings: readonly string[]): string {
  const kept: string[] = [];
  let ours = false;
  for (const line of before.split('\n')) {
    if (line === begin) ours = true;
    if (!ours) kept.push(line);
    if (line === end) ours = false;
  }
  while (kept.at(-1) === '') kept.pop();
  const lines = [...kept, ...settings];
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

/** Puts the settings into nix.conf: replaced in one step. @throws Error naming the file */
export function useCache(file: string, cache: UseCache, endpoint: string): void {
  const settings = cacheSettings(cache, endpoint);
  let before: string | undefined;
  try {
    before = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
      throw new Error(`read ${file}: ${(error as Error).message}`, { cause: error });
  }
  const after = mergeSettings(before ?? '', settings);
  if (after === (before ?? '')) return;
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o755 });
    writeFileSync(`${file}.new`, after, { mode: 0o644 });
    renameSync(`${file}.new`, file);
  } catch (error) {
    throw new Error(`write ${file}: ${(error as Error).message}`, { cause: error });
  }
}
