// The agent's own key: made at start, kept for this boot only, so that a restarted agent is still the same one.
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Identity {
  readonly bootId: string;
  /** SPKI DER of the P-256 key. */
  readonly publicKey: Buffer;
  /** Proof of the key for one session. */
  sign(credential: string, unixMs: number): Buffer;
  /** Kept from an earlier start of the agent in this boot. */
  readonly credential: KeptCredential | undefined;
  keep(credential: KeptCredential): void;
}

export interface KeptCredential {
  readonly credential: string;
  readonly host: string;
  readonly heartbeatMs: number;
}

interface Kept {
  bootId: string;
  fingerprint: string;
  key: string;
  credential?: KeptCredential;
}

function readKept(file: string): Kept | undefined {
  try {
    const kept = JSON.parse(readFileSync(file, 'utf8')) as Kept;
    createPrivateKey(kept.key);
    return kept;
  } catch {
    return undefined;
  }
}

/**
 * @param folder on a tmpfs (/run/nixie-agent): nothing of it outlives the boot. Undefined keeps everything in memory.
 * @param fingerprint of the controller; what was kept for another one is not used
 */
export function loadIdentity(folder: string | undefined, bootId: string, fingerprint: string): Identity {
  const file = folder && join(folder, 'agent.json');
  let kept = file ? readKept(file) : undefined;
  if (kept?.bootId !== bootId || kept.fingerprint !== fingerprint) kept = undefined;
  const key: KeyObject = kept
    ? createPrivateKey(kept.key)
    : generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const state: Kept = kept ?? { bootId, fingerprint, key: key.export({ type: 'pkcs8', format: 'pem' }) as string };
  const save = (): void => {
    if (!folder || !file) return;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeFileSync(`${file}.new`, JSON.stringify(state), { mode: 0o600 });
    renameSync(`${file}.new`, file);
  };
  if (!kept) save();
  return {
    bootId,
    publicKey: createPublicKey(key).export({ type: 'spki', format: 'der' }),
    sign: (credential, unixMs) =>
      sign('sha256', Buffer.from(`nixie-session\n${credential}\n${bootId}\n${unixMs}`), key),
    get credential() {
      return state.credential;
    },
    keep(credential) {
      state.credential = credential;
      save();
    },
  };
}
