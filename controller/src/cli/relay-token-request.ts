// The words after `nixie relay-token` → a token to make, to list or to revoke.
import { resolve } from 'node:path';
import type { Surroundings } from '../config/flags.ts';
import { ConfigError, type Problem, show } from '../config/problem.ts';
import { defaultStateDir } from '../config/state-dir.ts';
import { endpointText, isRelayName, parseRelayUrl, relayNameAccepted } from '../machine/relay.ts';

export interface RelayTokenOptions {
  readonly url?: string;
  readonly out?: string;
  readonly list?: boolean;
  readonly revoke?: boolean;
  readonly state?: string;
  readonly json?: boolean;
}

export type RelayTokenRequest = { readonly stateDir: string; readonly json: boolean } & (
  | { readonly act: 'make'; readonly name: string; readonly url: string; readonly out?: string }
  | { readonly act: 'revoke'; readonly name: string }
  | { readonly act: 'list' }
);

/** @throws ConfigError with all that is wrong */
export function readRelayToken(
  name: string | undefined,
  options: RelayTokenOptions,
  { cwd, uid, env }: Pick<Surroundings, 'cwd' | 'uid' | 'env'>,
): RelayTokenRequest {
  const problems: Problem[] = [];
  const no = (where: string, text: string) => void problems.push({ where, text });
  const path = (given: string) => resolve(cwd, given.replace(/^~(?=\/|$)/, env.HOME ?? '~'));
  const act = options.list === true ? 'list' : options.revoke === true ? 'revoke' : 'make';

  if (options.list === true && options.revoke === true) no('--revoke', 'has no meaning with --list');
  if (act === 'list' && name !== undefined) no('NAME', `found ${show(name)}, accepted with --list: none`);
  if (act !== 'list' && (name === undefined || !isRelayName(name)))
    no('NAME', `${name === undefined ? 'not given' : `found ${show(name)}`}; accepted: ${relayNameAccepted}`);
  if (act !== 'make')
    for (const option of ['url', 'out'] as const)
      if (options[option] !== undefined) no(`--${option}`, `has no meaning with --${act}`);
  const endpoint = options.url === undefined ? undefined : parseRelayUrl(options.url);
  if (act === 'make' && endpoint === undefined)
    no(
      '--url',
      `${options.url === undefined ? 'not given' : `found ${show(options.url)}`}; accepted: where the relay reaches this controller, like https://192.0.2.7:7482`,
    );
  const stateDir = options.state === undefined ? defaultStateDir(uid, env) : path(options.state);
  if (stateDir === undefined)
    no('--state', 'not given, and neither XDG_STATE_HOME nor HOME says where; accepted: the folder of the controller');
  if (problems.length > 0) throw new ConfigError(problems);

  const common = { stateDir: stateDir!, json: options.json ?? false };
  if (act === 'list') return { act, ...common };
  if (act === 'revoke') return { act, name: name!, ...common };
  const url = `https://${endpointText(endpoint!)}`;
  return { act, name: name!, url, ...(options.out !== undefined && { out: path(options.out) }), ...common };
}
