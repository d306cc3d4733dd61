// `/nix/store/<hash>-<name>`: what may stand in a path of the store, by nix's own rules.
const base = /^([0-9abcdfghijklmnpqrsvwxyz]{32})-[0-9A-Za-z+._?=-]{1,211}$/;

/** The 32 characters before the name; undefined when it is no path directly in a store. */
export function hashPart(path: string): string | undefined {
  if (!path.startsWith('/')) return undefined;
  return base.exec(path.slice(path.lastIndexOf('/') + 1))?.[1];
}

/** `<hash>-<name>` */
export function isBaseName(name: string): boolean {
  return base.test(name);
}

/** `/nix/store` */
export function storeFolder(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}
