// What `nixie status` prints of relays. Pure.
import type { RelayState } from '@nixie/proto/operator';
import { clean, clock, size } from './text.ts';

/** A line for each, and one for each of its problems. `now` in milliseconds. */
export function relayLines(relays: readonly RelayState[], now: number): string[] {
  if (relays.length === 0) return [];
  return ['', 'relays:', ...relays.flatMap((each) => linesOf(each, now))];
}

function linesOf(relay: RelayState, now: number): string[] {
  const { name, link, why, sinceUnixMs, hasToken, hosts, current } = relay;
  const time = sinceUnixMs === undefined ? '' : clock(Math.max(0, Math.round((now - Number(sinceUnixMs)) / 1000)));
  const machines = `${hosts} ${hosts === 1 ? 'host' : 'hosts'}`;
  if (link === undefined) {
    const never = hasToken ? 'never connected' : `never connected; it needs a token: nixie relay-token ${name}`;
    const state = sinceUnixMs === undefined ? never : `not connected for ${time}`;
    return [`  ${clean(name, 64)}  ${state}${why === undefined ? '' : `: ${clean(why)}`}; ${machines}`];
  }
  const words = [
    `connected for ${time} from ${clean(link.peer, 64)}`,
    clean(link.version, 64),
    machines,
    `${link.connections} connections`,
    `cache ${size(Number(link.cacheBytes))} of ${size(Number(link.cacheLimitBytes))}, ${link.cacheHits} hits`,
    `${size(Number(link.fetchedBytes))} fetched`,
    ...(current ? [] : ['it has not taken the newest plan yet']),
    ...(link.seenDropped > 0n ? [`${link.seenDropped} observations lost`] : []),
  ];
  return [`  ${clean(name, 64)}  ${words.join(', ')}`, ...link.problems.map((each) => `    problem: ${clean(each)}`)];
}

/** As in `nixie --json`: snake case, times in ISO 8601, unknown is absent. */
export function relayJson({ name, link, why, sinceUnixMs, hasToken, hosts, current }: RelayState): string {
  return JSON.stringify({
    relay: name,
    connected: link !== undefined,
    since: sinceUnixMs === undefined ? undefined : new Date(Number(sinceUnixMs)).toISOString(),
    why,
    has_token: hasToken,
    hosts,
    current,
    ...(link !== undefined && {
      version: link.version,
      peer: link.peer,
      connections: link.connections,
      cache_bytes: Number(link.cacheBytes),
      cache_limit_bytes: Number(link.cacheLimitBytes),
      cache_files: link.cacheFiles,
      cache_hits: Number(link.cacheHits),
      fetched_bytes: Number(link.fetchedBytes),
      observations_lost: Number(link.seenDropped),
      problems: link.problems,
    }),
  });
}
