// Whose rights a child has.

export interface Identity {
  readonly uid: number;
  readonly gid: number;
  readonly name: string;
  readonly home: string;
}
