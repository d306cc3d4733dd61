// The options of `nixie relay` → what the relay needs, or everything that is wrong with them at once.
import { join, resolve } from 'node:path';
import { readDuration } from '../config/duration.ts';
import type { Surroundings } from '../config/flags.ts';
import { type Problem, show } from '../config/problem.ts';
import { parseSize } from '../config/sizes.ts';
import { longestPlanLifeMs } from '../core/relay-stock.ts';
import { type Endpoint, type JoinToken, parseEndpoint, parseJoinToken, parseRelayUrl } from '../machine/relay.ts';

export interface RelayOptions {
  readonly controller?: string;
  readonly token?: string;
  readonly interface?: readonly string[];
  readonly state?: string;
  readonly cacheDir?: string;
  readonly cacheSize?: string;
  readonly planLife?: string;
  readonly json?: boolean;
}

export interface RelayRequest {
  readonly endpoint: Endpoint;
  readonly token: JoinToken;
  readonly interfaces: readonly string[];
  readonly stateDir: string;
  /** What may be lost: it is fetched again. */
  readonly cacheDir: string;
  readonly cacheBytes: number;
  readonly planLifeMs: number;
  readonly json: boolean;
}

export const defaultCacheSize = '20G';
export const defaultPlanLife = '1h';
/** An installer with its loaders fits in. */
const leastCacheBytes = 1e9;
const largestTokenBytes = 16 * 1024;

export function readRelay(
  options: RelayOptions,
  around: Surroundings,
):
  | { readonly ok: true; readonly request: RelayRequest }
  | { readonly ok: false; readonly problems: readonly Problem[] } {
  const problems: Problem[] = [];
  const no = (where: string, text: string) => void problems.push({ where, text });

  const token = readToken(options.token, around, no);
  const given = options.controller === undefined ? undefined : parseEndpoint(options.controller);
  if (options.controller !== undefined && given === undefined)
    no('--controller', `found ${show(options.controller)}, accepted: HOST or HOST:PORT, like 192.0.2.7:7482`);
  const endpoint = given ?? (token === undefined ? undefined : parseRelayUrl(token.url));

  const interfaces = [...new Set(options.interface ?? [])];
  if (interfaces.length === 0)
    no('--interface', 'not given; accepted: the network interface that machines boot on, like --interface eth1');
  for (const name of interfaces)
    if (!/^[^\s/\u0000-\u001f]{1,15}$/.test(name) || name === '.' || name === '..')
      no('--interface', `found ${show(name)}, accepted: the name of a network interface, as \`ip link\` shows it`);

  const cacheBytes = parseSize(options.cacheSize ?? defaultCacheSize);
  if (cacheBytes === undefined || cacheBytes < leastCacheBytes)
    no('--cache-size', `found ${show(options.cacheSize)}, accepted: 1G or more, like 20G or 500GiB`);
  const planLifeMs = readDuration(options.planLife ?? defaultPlanLife);
  if (planLifeMs === undefined || planLifeMs > longestPlanLifeMs)
    no('--plan-life', `found ${show(options.planLife)}, accepted: a duration like 10m or 1h, up to 1h30m`);

  const stateDir = options.state === undefined ? relayStateDir(around) : resolve(around.cwd, options.state);
  if (stateDir === undefined) no('--state', 'not given, and HOME is not known; accepted: a folder');
  const cacheDir = options.cacheDir === undefined ? stateDir : resolve(around.cwd, options.cacheDir);
  for (const [flag, folder] of [['--state', stateDir] as const, ['--cache-dir', options.cacheDir && cacheDir] as const])
    if (folder && (around.look(folder)?.kind ?? 'folder') !== 'folder')
      no(flag, `found no folder at ${folder}, accepted: a folder, there already or not`);
  if (problems.length > 0 || !endpoint || !token || !cacheBytes || !planLifeMs || !stateDir || !cacheDir)
    return { ok: false, problems };
  const json = options.json ?? false;
  return { ok: true, request: { endpoint, token, interfaces, stateDir, cacheDir, cacheBytes, planLifeMs, json } };
}

/** A folder of its own: a controller may run on the same computer. */
function relayStateDir({ uid, env }: Surroundings): string | undefined {
  if (uid === 0) return '/var/lib/nixie-relay';
  // XDG Base Directory Specification: a relative path is to be ignored.
  if (env.XDG_STATE_HOME?.startsWith('/')) return join(env.XDG_STATE_HOME, 'nixie-relay');
  return env.HOME?.startsWith('/') ? join(env.HOME, '.local/state/nixie-relay') : undefined;
}

function readToken(
  path: string | undefined,
  around: Surroundings,
  no: (where: string, text: string) => void,
): JoinToken | undefined {
  const accepted = 'the file with the join token that `nixie relay-token NAME` made at the controller';
  if (path === undefined) {
    no('--token', `not given; accepted: ${accepted}`);
    return undefined;
  }
  const full = resolve(around.cwd, path);
  const facts = around.look(full);
  if (facts?.kind !== 'file') {
    no('--token', `found ${facts === undefined ? 'nothing' : 'no file'} at ${full}, accepted: ${accepted}`);
    return undefined;
  }
  // Whoever reads it can take this relay's place.
  if ((facts.mode & 0o007) !== 0) {
    no(
      '--token',
      `${full} can be read by others (mode ${(facts.mode & 0o777).toString(8)}); accepted: for its owner only, chmod 600`,
    );
    return undefined;
  }
  try {
    const bytes = around.readFile(full);
    if (bytes.length > largestTokenBytes) throw new Error(`it has ${bytes.length} bytes, which no token has`);
    return parseJoinToken(new TextDecoder().decode(bytes));
  } catch (error) {
    no('--token', `${full}: ${(error as Error).message}`);
    return undefined;
  }
}
