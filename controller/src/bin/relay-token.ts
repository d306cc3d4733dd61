// `nixie relay-token`: the one line by which a relay joins. A controller that runs meanwhile takes notice within two seconds.
import { randomBytes } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { type ExitCode, exitCodes } from '../cli/exit-codes.ts';
import type { RelayTokenRequest } from '../cli/relay-token-request.ts';
import { noStateDir } from '../config/state-dir.ts';
import { joinTokenText } from '../machine/relay.ts';
import { replaceFile } from '../store/file.ts';
import { makeFolders } from '../store/make-folders.ts';
import { handOver, joinedRelays, keepRelayToken, readRelayTokens, revokeRelayToken } from '../store/relays.ts';
import { loadTls } from '../store/tls.ts';

export interface RelayTokenWorld {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export async function relayToken(request: RelayTokenRequest, world: RelayTokenWorld): Promise<ExitCode> {
  switch (request.act) {
    case 'make':
      return await make(request, world);
    case 'revoke':
      return revoke(request, world);
    case 'list':
      return list(request, world);
  }
}

async function make(
  request: Extract<RelayTokenRequest, { act: 'make' }>,
  { out, err, now }: RelayTokenWorld,
): Promise<ExitCode> {
  const { stateDir, name, url, json } = request;
  try {
    makeFolders(stateDir, 0o700);
  } catch (error) {
    throw noStateDir(stateDir, error);
  }
  // The very certificate that the controller will show: made now if there is none yet.
  const tls = await loadTls(stateDir);
  if (tls.made) handOver(join(stateDir, 'tls.pem'));
  const before = readRelayTokens(stateDir).find((each) => each.name === name && each.revokedAt === undefined);
  const secret = randomBytes(32);
  const text = joinTokenText({ name, url, fingerprint: tls.fingerprint, secret });
  // First the file: a token that nobody has must not lock out the relay that has the one before.
  if (request.out !== undefined) replaceFile(request.out, `${text}\n`);
  keepRelayToken(stateDir, { name, url, madeAt: now() }, secret);
  if (json)
    out(
      `${JSON.stringify({ name, url, fingerprint: tls.fingerprint, ...(request.out === undefined ? { token: text } : { file: request.out }), replaces: before !== undefined })}\n`,
    );
  else if (request.out === undefined) out(`${text}\n`);
  else out(`${request.out}: the token of ${name}; bring it to the relay, where only root may read it\n`);
  if (before !== undefined)
    err(`nixie: the token that ${name} had is good no more; its relay stops until it has this one\n`);
  return exitCodes.done;
}

function revoke(
  { stateDir, name, json }: Extract<RelayTokenRequest, { act: 'revoke' }>,
  { out, err, now }: RelayTokenWorld,
): ExitCode {
  if (!revokeRelayToken(stateDir, name, now())) {
    const known = readRelayTokens(stateDir).filter(({ revokedAt }) => revokedAt === undefined);
    err(
      `nixie: there is no token of ${name} in ${stateDir}; ${known.length === 0 ? 'there is none at all' : `there are those of ${known.map((each) => each.name).join(', ')}`}\n`,
    );
    return exitCodes.usage;
  }
  out(json ? `${JSON.stringify({ name, revoked: true })}\n` : `${name} is revoked; its relay is not let in any more\n`);
  return exitCodes.done;
}

function list({ stateDir, json }: RelayTokenRequest, { out }: RelayTokenWorld): ExitCode {
  const tokens = statSync(stateDir, { throwIfNoEntry: false }) === undefined ? [] : readRelayTokens(stateDir);
  const joined = joinedRelays(stateDir);
  const shown = tokens.map(({ name, url, madeAt, revokedAt }) => ({
    name,
    state: revokedAt !== undefined ? 'revoked' : joined.has(name) ? 'joined' : 'unused',
    made: new Date(madeAt).toISOString(),
    url,
    ...(revokedAt !== undefined && { revoked: new Date(revokedAt).toISOString() }),
  }));
  if (json) for (const each of shown) out(`${JSON.stringify(each)}\n`);
  else if (shown.length === 0) out('no relay has a token\n');
  else {
    const width = Math.max(5, ...shown.map(({ name }) => name.length));
    out(`${'relay'.padEnd(width)}  state    made                      controller\n`);
    for (const { name, state, made, url } of shown) out(`${name.padEnd(width)}  ${state.padEnd(7)}  ${made}  ${url}\n`);
  }
  return exitCodes.done;
}
