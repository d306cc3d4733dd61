// What a request line asks for. Everything that can be had stands in tables; no text of a request reaches a file system.
import { type Mac, parseMac } from '../machine/mac.ts';
import { type NixAsk, nixAsk } from './http-nix.ts';

export type Route =
  /** The endpoint of agents that speak no gRPC. */
  | { readonly kind: 'old-agent' }
  | { readonly kind: 'ping' }
  | { readonly kind: 'script'; readonly mac: Mac }
  /** Names that the tables have. */
  | { readonly kind: 'loader' | 'file'; readonly name: string }
  /** A machine tells what it has of an image of the table: 64 hexadecimal digits. */
  | { readonly kind: 'fleet'; readonly image: string; readonly by: 'agent' | 'stage' }
  /** One chunk of an image of the table, as a whole, for who knows no ranges. */
  | { readonly kind: 'chunk'; readonly name: string; readonly chunk: number }
  /** Of the binary cache. Whether it has that, it says itself. */
  | { readonly kind: 'nix'; readonly ask: NixAsk }
  | { readonly kind: 'refuse'; readonly status: 404 | 405 | 414; readonly text: string; readonly why: string };

export interface RouteTables {
  readonly loaders: { has(name: string): boolean };
  readonly files: { has(name: string): boolean };
  /** There is a binary cache. */
  readonly nix?: boolean;
}

/** Never throws. `url` as it stands in the request line; what follows a `?` is not looked at. */
export function routeOf(method: string, url: string, tables: RouteTables, maxUrlBytes: number): Route {
  const path = url.split('?', 1)[0]!;
  const mac = parseMac(after(path, '/boot/', '.ipxe') ?? '');
  const loader = after(path, '/loader/') ?? '';
  const file = after(path, '/f/') ?? '';
  const refuse = (status: 404 | 405 | 414, text: string, why: string): Route => ({ kind: 'refuse', status, text, why });
  if (path === '/install') return { kind: 'old-agent' };
  const [image = '', by] = (method === 'POST' ? (after(path, '/fleet/') ?? '') : '').split('/stage');
  if (/^[0-9a-f]{64}$/.test(image) && (by ?? '') === '' && tables.files.has(`${image}/image`))
    return { kind: 'fleet', image, by: by === undefined ? 'agent' : 'stage' };
  if (method !== 'GET' && method !== 'HEAD') return refuse(405, 'only GET and HEAD', 'method');
  if (url.length > maxUrlBytes) return refuse(414, 'address too long', 'too-long');
  if (path === '/ping') return { kind: 'ping' };
  // Each script holds a token that is good once, so none is made just to be measured.
  if (mac && method === 'HEAD') return refuse(405, 'a boot script can only be fetched', 'head-of-script');
  if (mac) return { kind: 'script', mac };
  if (tables.loaders.has(loader)) return { kind: 'loader', name: loader };
  if (tables.files.has(file)) return { kind: 'file', name: file };
  const [, whole = '', chunk] = /^([0-9a-f]{64}\/image)\/(0|[1-9]\d{0,3})$/.exec(file) ?? [];
  if (tables.files.has(whole)) return { kind: 'chunk', name: whole, chunk: Number(chunk) };
  const ask = tables.nix === true ? nixAsk(path) : undefined;
  if (ask !== undefined) return { kind: 'nix', ask };
  return refuse(404, 'not found', 'unknown-path');
}

/** What stands between a prefix and an ending; undefined when they are not there. */
function after(path: string, prefix: string, ending = ''): string | undefined {
  if (!path.startsWith(prefix) || !path.endsWith(ending) || path.length < prefix.length + ending.length)
    return undefined;
  return path.slice(prefix.length, path.length - ending.length);
}
