// Finds out whose rights nix gets on this machine (see operator.ts) and makes the runner for it.
import { accessSync, constants, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Identity } from '../child/identity.ts';
import { nixRunner, type RunNix } from './command.ts';
import { checkoutOf, type FolderProbe } from './flake-ref.ts';
import { chooseOperator, sudoUser } from './operator.ts';

export interface RunnerFacts {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Folders of the flakes that will be read. */
  readonly folders: readonly string[];
  /** A folder of ours; made when a private HOME is needed. */
  readonly homeDir: string;
  readonly binDir?: string;
}

export const folderProbe: FolderProbe = { exists: (path) => existsSync(path) };

/** Who: the user that nix runs as when it isn't us. */
export async function makeRunner(facts: RunnerFacts): Promise<{ run: RunNix; who?: Identity }> {
  const { env } = facts;
  const uid = process.geteuid?.() ?? 0;
  const checkouts = [...new Set(facts.folders.map((folder) => checkoutOf(folder, folderProbe)))]
    .filter((path) => path !== undefined)
    .map((path) => ({ path, owner: statSync(path).uid }));
  const operator = chooseOperator({
    uid,
    env,
    daemonUsable: uid === 0 && (await answers(env.NIX_DAEMON_SOCKET_PATH ?? '/nix/var/nix/daemon-socket/socket')),
    checkouts,
    ...readable('/etc/passwd'),
  });
  let home: string | undefined;
  if (operator.gitConfig !== undefined) {
    home = facts.homeDir;
    mkdirSync(home, { recursive: true, mode: 0o700 });
    writeFileSync(join(home, '.gitconfig'), operator.gitConfig, { mode: 0o600 });
  }
  const run = nixRunner({
    env,
    ...(operator.as ? { as: operator.as } : {}),
    ...(home ? { home } : {}),
    ...(facts.binDir ? { binDir: facts.binDir } : {}),
  });
  return { run, ...(operator.as ? { who: operator.as } : {}) };
}

/** The user that called sudo. */
export function callerOf(env: RunnerFacts['env']): Identity | undefined {
  return sudoUser(env, readable('/etc/passwd').passwd);
}

/** Does something accept connections there, within two seconds? */
function answers(socketPath: string): Promise<boolean> {
  if (!existsSync(socketPath)) return Promise.resolve(false);
  return new Promise((done) => {
    const socket = connect(socketPath);
    const end = (answer: boolean) => {
      socket.destroy();
      done(answer);
    };
    socket.setTimeout(2_000, () => end(false));
    socket.on('connect', () => end(true));
    socket.on('error', () => end(false));
  });
}

function readable(path: string): { passwd?: string } {
  try {
    accessSync(path, constants.R_OK);
    return { passwd: readFileSync(path, 'utf8') };
  } catch {
    return {};
  }
}
