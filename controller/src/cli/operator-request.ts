// The words after `nixie retry`, `cancel` and `status` → which controller is meant.
import { resolve } from 'node:path';
import type { Surroundings } from '../config/flags.ts';
import { ConfigError } from '../config/problem.ts';
import { defaultStateDir } from '../config/state-dir.ts';
import { operatorSocket } from '../store/operator-socket.ts';

export interface OperatorOptions {
  readonly state?: string;
}

export interface OperatorRequest {
  /** Absolute path. */
  readonly socket: string;
  /** Each once. */
  readonly hosts: readonly string[];
}

export interface StatusRequest {
  readonly socket: string;
  readonly watch: boolean;
  readonly json: boolean;
}

/** The controller that has this state folder. @throws ConfigError */
export function readOperator(
  { state }: OperatorOptions,
  { cwd, uid, env }: Pick<Surroundings, 'cwd' | 'uid' | 'env'>,
): { readonly socket: string } {
  const folder =
    state === undefined ? defaultStateDir(uid, env) : resolve(cwd, state.replace(/^~(?=\/|$)/, env.HOME ?? '~'));
  if (folder === undefined) {
    const text = 'not given, and neither XDG_STATE_HOME nor HOME says where; accepted: the folder of the controller';
    throw new ConfigError([{ where: '--state', text }]);
  }
  try {
    return { socket: operatorSocket(folder, uid, env.XDG_RUNTIME_DIR) };
  } catch (error) {
    throw new ConfigError([{ where: '--state', text: (error as Error).message }]);
  }
}

/** Said when the socket can't be opened for want of rights. */
export function notYours(socket: string): string {
  return `this user may not open the controller's socket at ${socket}; ask as root, or as the user of the controller, or name another folder with --state`;
}
