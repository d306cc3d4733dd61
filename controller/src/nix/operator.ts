// Whose rights nix gets. `sudo nixie` runs as root on a user's checkout, which git and so nix refuse to read: with a nix daemon the
// children run as that user; without one as root, with a HOME of their own in which git is told that the checkout is trusted.
import type { Identity } from '../child/identity.ts';

export interface OperatorFacts {
  /** Effective user id of Nixie. */
  readonly uid: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** A nix daemon answers on its socket. */
  readonly daemonUsable: boolean;
  /** Text of /etc/passwd, or undefined when it can't be read. */
  readonly passwd?: string;
  /** Checkouts that will be read, with their owners. */
  readonly checkouts: readonly { readonly path: string; readonly owner: number }[];
}

export interface Operator {
  /** Children run as this user. */
  readonly as?: Identity;
  /** Text of a .gitconfig for a private HOME; absent when git needs no persuasion. */
  readonly gitConfig?: string;
}

export function chooseOperator(facts: OperatorFacts): Operator {
  const { uid, env, daemonUsable, checkouts } = facts;
  if (uid === 0 && daemonUsable) {
    const as = sudoUser(env, facts.passwd);
    if (as) return { as };
  }
  const foreign = checkouts.filter((checkout) => checkout.owner !== uid);
  if (foreign.length === 0) return {};
  return {
    gitConfig: gitConfigFor(
      foreign.map((checkout) => checkout.path),
      env.HOME,
    ),
  };
}

/** The user that called sudo; undefined when it was nobody, was root, or can't be told for sure. */
export function sudoUser(env: Readonly<Record<string, string | undefined>>, passwd = ''): Identity | undefined {
  const name = env.SUDO_USER;
  if (!name || name === 'root') return undefined;
  const line = passwd.split('\n').find((entry) => entry.startsWith(`${name}:`));
  const fields = line?.split(':');
  const uid = Number.parseInt(fields?.[2] ?? env.SUDO_UID ?? '', 10);
  const gid = Number.parseInt(fields?.[3] ?? env.SUDO_GID ?? '', 10);
  // Users of a directory service aren't in the file: newer sudo tells their home.
  const home = fields?.[5] || env.SUDO_HOME;
  if (!Number.isInteger(uid) || uid === 0 || !Number.isInteger(gid) || !home) return undefined;
  return { name, uid, gid, home };
}

/** Keeps the settings of the HOME that it stands in for and trusts just these folders (git 2.35.2 and libgit2 1.5 ask for that). */
export function gitConfigFor(folders: readonly string[], home: string | undefined): string {
  const quoted = (text: string) => `"${text.replace(/[\\"]/g, '\\$&')}"`;
  const include = home ? `[include]\n\tpath = ${quoted(`${home}/.gitconfig`)}\n` : '';
  const trusted = [...new Set(folders)].map((folder) => `\tdirectory = ${quoted(folder)}\n`).join('');
  // git would write what it found of changed times into the index, which would be ours then and not its owner's.
  return `${include}[safe]\n${trusted}[diff]\n\tautoRefreshIndex = false\n`;
}
