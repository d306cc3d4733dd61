// Finds out whose rights nix gets on this machine (see operator.ts), before it is called, and makes the runner for them.
import { accessSync, constants, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Identity } from '../child/identity.ts';
import { runProgram } from '../child/program.ts';
import { nixEnvironment, nixRunner, type RunNix } from './command.ts';
import { checkoutOf, type FolderProbe } from './flake-ref.ts';
import { chooseOperator, sudoUser } from './operator.ts';
import { barriers, type Need } from './reach.ts';

export interface RightsFacts {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Folders of the flakes that will be read. */
  readonly folders: readonly string[];
  /** A folder of ours; made when a private HOME is needed. */
  readonly homeDir: string;
  /** What else the user that called must be able to reach; asked only when they may be the one. */
  readonly more?: (as: Identity) => Promise<readonly Need[]>;
  /** Absent: setpriv(1) is not used. */
  readonly setpriv?: string | undefined;
}

export interface Rights {
  /** Children run as this user; absent: as ourselves. */
  readonly as?: Identity;
  /** HOME of nix when it runs as ourselves on somebody else's checkout. */
  readonly home?: string;
  /** For the operator: why it isn't the user that called. */
  readonly notice?: string;
}

export const folderProbe: FolderProbe = { exists: (path) => existsSync(path) };

export async function findRights(facts: RightsFacts): Promise<Rights> {
  const { env, folders } = facts;
  const uid = process.geteuid?.() ?? 0;
  const checkouts = [...new Set(folders.map((folder) => checkoutOf(folder, folderProbe)))]
    .filter((path) => path !== undefined)
    .map((path) => ({ path, owner: statSync(path).uid }));
  const known = { uid, env, checkouts, ...readable('/etc/passwd') };
  const socket = env.NIX_DAEMON_SOCKET_PATH ?? '/nix/var/nix/daemon-socket/socket';
  const daemonUsable = uid === 0 && (await answers(socket));
  const { as } = chooseOperator({ ...known, daemonUsable });
  const asRoot = (name: string, why: string) =>
    `nix, nixos-anywhere and ssh run as root and not as ${name}, who called sudo: ${why}. To have it otherwise, change that and begin again`;
  // Without a socket nix has no daemon here, and all is root's; a daemon that doesn't answer is not what the operator expects.
  const silent = uid === 0 && !daemonUsable && existsSync(socket) ? sudoUser(env, known.passwd) : undefined;
  let notice = silent && asRoot(silent.name, `no nix daemon answers at ${socket}`);
  if (as !== undefined) {
    const more = await moreFor(facts, as);
    const walls = await barriers(
      [
        { kind: 'socket', what: socket },
        { kind: 'write', what: as.home },
        { kind: 'find', what: 'nix' },
        { kind: 'find', what: 'nix-store' },
        // What isn't there at all is a mistake that nix explains better.
        ...folders
          .flatMap((folder) => [folder, join(folder, 'flake.nix')])
          .filter(folderProbe.exists)
          .map((what) => ({ kind: 'read', what }) as const),
        ...checkouts.map(({ path }) => ({ kind: 'git', what: path }) as const),
        ...more.needs,
      ],
      as,
      nixEnvironment(env, as),
    );
    if (more.failure !== undefined) walls.push(more.failure);
    if (walls.length === 0) return { as: await locked(as, facts.setpriv) };
    notice = asRoot(as.name, walls.join('; '));
  }
  const { gitConfig } = chooseOperator({ ...known, daemonUsable: false });
  if (gitConfig === undefined) return notice === undefined ? {} : { notice };
  const home = facts.homeDir;
  mkdirSync(home, { recursive: true, mode: 0o700 });
  writeFileSync(join(home, '.gitconfig'), gitConfig, { mode: 0o600 });
  return { home, ...(notice === undefined ? {} : { notice }) };
}

async function moreFor({ more }: RightsFacts, as: Identity): Promise<{ needs: readonly Need[]; failure?: string }> {
  try {
    return { needs: (await more?.(as)) ?? [] };
  } catch (error) {
    return { needs: [], failure: (error as Error).message };
  }
}

/** With setpriv, where it works for this user. */
async function locked(as: Identity, setpriv: string | undefined): Promise<Identity> {
  if (setpriv === undefined) return as;
  const tried = await runProgram('/bin/sh', ['-c', 'exit 0'], {
    deadlineMs: 10_000,
    env: {},
    as: { ...as, setpriv },
  }).catch(() => undefined);
  return tried?.status === 0 ? { ...as, setpriv } : as;
}

export function makeRunner(
  env: RightsFacts['env'],
  { as, home }: Pick<Rights, 'as' | 'home'>,
  binDir?: string,
): RunNix {
  return nixRunner({
    env,
    ...(as === undefined ? {} : { as }),
    ...(home === undefined ? {} : { home }),
    ...(binDir === undefined ? {} : { binDir }),
  });
}

/** The user that called sudo. */
export function callerOf(env: RightsFacts['env']): Identity | undefined {
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
