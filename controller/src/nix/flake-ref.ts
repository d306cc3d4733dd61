// What an operator writes after --flake and --installer, taken apart: where the flake is, and which attribute of it is meant.
import { isAbsolute, join, resolve } from 'node:path';

export interface FlakeRef {
  /** What nix is called with: an absolute path or a URL, with its `?…` and without `#…`. */
  readonly url: string;
  /** The attribute's parts, unquoted; empty when there was nothing after `#`. */
  readonly attrPath: readonly string[];
  /** The folder on this machine that it names, when it names one. */
  readonly folder?: string;
}

/** Looks at the disk; given as an argument so that the rules stay testable. */
export interface FolderProbe {
  /** Is there a file or folder at this absolute path? */
  exists(path: string): boolean;
}

/** What was written is no flake reference or attribute path; the message says what is accepted. */
export class FlakeRefError extends Error {
  override name = 'FlakeRefError';
}

const scheme = /^[a-z][a-z0-9+.-]*:/;

/**
 * Reads `REF[#ATTR]` as nix does, with two differences: relative paths are taken from `cwd` (nix is called elsewhere), and a plain
 * `name` or `name/more` is a folder if a flake.nix is in it; nix would look only into its registry.
 * Throws a FlakeRefError that says what is wrong and what is accepted.
 */
export function parseFlakeRef(text: string, cwd: string, probe: FolderProbe): FlakeRef {
  const trimmed = text.trim();
  const hash = trimmed.indexOf('#');
  const place = hash < 0 ? trimmed : trimmed.slice(0, hash);
  const attrPath = hash < 0 ? [] : parseAttrPath(trimmed.slice(hash + 1));
  if (/[\s\u0000-\u001f]/.test(place))
    throw new FlakeRefError(`flake reference ${JSON.stringify(text)}: holds a space; ${accepted}`);
  if (place === '' && hash < 0) throw new FlakeRefError(`flake reference is empty; ${accepted}`);

  const file = /^(path|git\+file):(?!\/\/)([^?]*)(\?.*)?$/.exec(place);
  if (file) {
    const folder = resolve(cwd, decodeURIComponentOr(file[2]!));
    const url = file[1] === 'path' ? `path:${encoded(folder)}` : `git+file://${encoded(folder)}`;
    return { url: url + (file[3] ?? ''), attrPath, folder: withDir(folder, file[3]) };
  }
  const full = /^(?:path|git\+file|file):\/\/(\/[^?]*)(\?.*)?$/.exec(place);
  if (full) return { url: place, attrPath, folder: withDir(decodeURIComponentOr(full[1]!), full[2]) };
  if (scheme.test(place)) return { url: place, attrPath };

  const question = place.indexOf('?');
  const path = question < 0 ? place : place.slice(0, question);
  const query = question < 0 ? '' : place.slice(question);
  const isPath = path === '' || path === '.' || path === '..' || /^\.{0,2}\//.test(path) || isAbsolute(path);
  if (isPath || probe.exists(join(resolve(cwd, path), 'flake.nix'))) {
    const folder = resolve(cwd, path);
    return { url: folder + query, attrPath, folder: withDir(folder, query) };
  }
  return { url: place, attrPath };
}

const accepted =
  'accepted are a folder (./examples), path:…, git+file:…, github:owner/repo and nix’s other URLs, each with #attribute';

/** The parts of an attribute path: `a.b."c.d"`. Throws FlakeRefError on an open quote. */
export function parseAttrPath(text: string): string[] {
  const parts: string[] = [];
  let part = '';
  let quoted = false;
  for (const char of text) {
    if (char === '"') quoted = !quoted;
    else if (char === '.' && !quoted) {
      parts.push(part);
      part = '';
    } else part += char;
  }
  if (quoted) throw new FlakeRefError(`attribute ${JSON.stringify(text)}: a quote is open`);
  parts.push(part);
  const named = parts.filter((name) => name !== '');
  return named;
}

/** The reverse of {@link parseAttrPath}; every part that needs it is quoted. */
export function printAttrPath(parts: readonly string[]): string {
  return parts.map((part) => (/^[A-Za-z_][A-Za-z0-9_'-]*$/.test(part) ? part : `"${part}"`)).join('.');
}

/** Outputs under which an attribute path is taken as it stands. */
const outputs = ['nixosConfigurations', 'packages', 'legacyPackages'];

/** The attribute that an installer reference means: nothing is `nixosConfigurations.installer`, a plain name one of those. */
export function installerAttrPath(attrPath: readonly string[]): readonly string[] {
  if (attrPath.length === 0) return ['nixosConfigurations', 'installer'];
  if (attrPath.length === 1 && !outputs.includes(attrPath[0]!)) return ['nixosConfigurations', attrPath[0]!];
  return attrPath;
}

/** The checkout that a folder lies in: the nearest folder upwards with a `.git`; undefined when it is in none. */
export function checkoutOf(folder: string, probe: FolderProbe): string | undefined {
  for (let at = resolve(folder); ; at = resolve(at, '..')) {
    if (probe.exists(join(at, '.git'))) return at;
    if (at === resolve(at, '..')) return undefined;
  }
}

function withDir(folder: string, query: string | undefined): string {
  const dir = new URLSearchParams(query ?? '').get('dir');
  return dir ? join(folder, dir) : folder;
}

/** A folder as it stands in an URL. */
function encoded(folder: string): string {
  return encodeURI(folder.toWellFormed()).replace(/[?#]/g, encodeURIComponent);
}

function decodeURIComponentOr(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
