// The public half of the SSH host key that this machine made at boot.
import { readFileSync } from 'node:fs';
import type { Clock } from './host.ts';

/** `ssh-ed25519 AAAA…` without its comment; undefined when the text is no public key. */
export function readHostKey(text: string): string | undefined {
  const match = /^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp256)[ \t]+([A-Za-z0-9+/]{40,}={0,2})(?:[ \t].*)?\r?\n?$/.exec(
    text,
  );
  return match ? `${match[1]} ${match[2]}` : undefined;
}

/**
 * Waits until sshd (or the image's init) has made the key. The key file appears before it is complete, so its text is checked.
 * @returns undefined when there is none after the time
 */
export async function awaitHostKey(
  file: string,
  clock: Clock,
  forMs: number,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const until = clock.ticks() + forMs;
  for (;;) {
    try {
      const key = readHostKey(readFileSync(file, 'utf8'));
      if (key) return key;
    } catch {
      // not there yet
    }
    if (signal?.aborted || clock.ticks() >= until) return undefined;
    await clock.sleep(200, signal);
  }
}
