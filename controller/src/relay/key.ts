// The relay's own key. Its join token is bound to it at the first use, so that a copied token is of no use to another computer.
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { replaceFile } from '../store/file.ts';

/**
 * Reads `relay-key.pem` of the state folder, or makes it.
 * @throws Error naming the file when there is one that is no Ed25519 key: a new one would not be believed by the controller
 */
export function relayKey(stateDir: string): KeyObject {
  const file = join(stateDir, 'relay-key.pem');
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
      throw new Error(`read ${file}: ${(error as Error).message}`, { cause: error });
    const { privateKey } = generateKeyPairSync('ed25519');
    replaceFile(file, privateKey.export({ type: 'pkcs8', format: 'pem' }));
    return privateKey;
  }
  try {
    const key = createPrivateKey(text);
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch {
    // Said below.
  }
  throw new Error(
    `read ${file}: it is no Ed25519 private key; take it away to have a new one made, and make a new join token with "nixie relay-token"`,
  );
}
