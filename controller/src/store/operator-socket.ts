// Where the operator's door of a state folder is.
import { createHash } from 'node:crypto';
import { join } from 'node:path';

/** The kernel's sockaddr_un has 108 bytes, the last of them NUL. */
const longestPath = 107;

/**
 * Where the socket of a state folder is: in it; or, when that name is too long for a socket, in the runtime folder under a name made from the
 * folder's. Client and controller find the same place.
 * @throws Error when neither can be had
 */
export function operatorSocket(stateDir: string, uid: number, runtimeDir: string | undefined): string {
  const usual = join(stateDir, 'operator.sock');
  if (Buffer.byteLength(usual) <= longestPath) return usual;
  const name = `nixie-${createHash('sha256').update(stateDir).digest('hex').slice(0, 16)}.sock`;
  // Everybody may write to other places, so nobody could tell whose socket it is.
  const folder = uid === 0 ? '/run' : runtimeDir;
  const other = folder?.startsWith('/') ? join(folder, name) : undefined;
  if (other !== undefined && Buffer.byteLength(other) <= longestPath) return other;
  throw new Error(
    `open operator socket ${usual}: its path has ${Buffer.byteLength(usual)} bytes, accepted are ${longestPath}; give a shorter --state, or set XDG_RUNTIME_DIR`,
  );
}
