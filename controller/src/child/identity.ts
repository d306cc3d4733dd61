// Whose rights a child has.

export interface Identity {
  readonly uid: number;
  readonly gid: number;
  readonly name: string;
  readonly home: string;
  /** setpriv(1), by which the child gives up every way to other rights: no program that it starts gets more than it has, sudo included. */
  readonly setpriv?: string;
}

/** What a child needs of it to be started. */
export type ChildUser = Pick<Identity, 'uid' | 'gid' | 'setpriv'>;
