// `nixie relay-token`: the one line by which a relay joins. A controller that runs meanwhile takes notice within two seconds.
import { randomBytes } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { type ExitCode, exitCodes } from '../cli/exit-codes.ts';
import type { RelayTokenRequest } from '../cli/relay-token-request.ts';
import { noStateDir } from '../config/state-dir.ts';
import { joinTokenText } from '../machine/relay.ts';
import { handOver, replaceFile } from '../store/file.ts';
import { StateTaken } from '../store/lock.ts';
import { makeFolders } from '../store/make-folders.ts';
import { placeIn } from '../store/places.ts';
import { joinedRelays, keepRelayToken, readRelayTokens, revokeRelayToken } from '../store/relays.ts';
import { loadTls } from '../store/tls.ts';

export interface RelayTokenWorld {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly sleep: (ms: number) => Promise<void>;
}

/** Another command has the list for milliseconds; one that was stopped by hand has it for ever. Milliseconds. */
const patienceMs = 10_000;
const betweenMs = 50;

export async function relayToken(request: RelayTokenRequest, world: RelayTokenWorld): Promise<ExitCode> {
  switch (request.act) {
    case 'make':
      return await make(request, world);
    case 'revoke':
      return await revoke(request, world);
    case 'list':
      return list(request, world);
  }
}

async function make(request: Extract<RelayTokenRequest, { act: 'make' }>, world: RelayTokenWorld): Promise<ExitCode> {
  const { out, err, now } = world;
  const { stateDir, name, url, json } = request;
  try {
    makeFolders(stateDir, 0o700);
  } catch (error) {
    throw noStateDir(stateDir, error);
  }
  // The very certificate that the controller will show: made now if there is none yet.
  const tls = await loadTls(stateDir);
  if (tls.made) handOver(join(stateDir, 'tls.pem'));
  const secret = randomBytes(32);
  const text = joinTokenText({ name, url, fingerprint: tls.fingerprint, secret });
  // First the file: a token that nobody has must not lock out the relay that has the one before.
  const handOut = () => {
    if (request.out !== undefined) replaceFile(request.out, `${text}\n`);
  };
  const before = await inTurn(stateDir, world, () =>
    keepRelayToken(stateDir, { name, url, madeAt: now() }, secret, handOut),
  );
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

async function revoke(
  { stateDir, name, json }: Extract<RelayTokenRequest, { act: 'revoke' }>,
  world: RelayTokenWorld,
): Promise<ExitCode> {
  const { out, err, now } = world;
  if (!(await inTurn(stateDir, world, () => revokeRelayToken(stateDir, name, now())))) {
    const known = readRelayTokens(stateDir).filter(({ revokedAt }) => revokedAt === undefined);
    err(
      `nixie: there is no token of ${name} in ${stateDir}; ${known.length === 0 ? 'there is none at all' : `there are those of ${known.map((each) => each.name).join(', ')}`}\n`,
    );
    return exitCodes.usage;
  }
  out(json ? `${JSON.stringify({ name, revoked: true })}\n` : `${name} is revoked; its relay is not let in any more\n`);
  return exitCodes.done;
}

/** @throws Error when another command doesn't end; nothing was changed then */
async function inTurn<T>(stateDir: string, { sleep }: RelayTokenWorld, change: () => T): Promise<T> {
  for (let waitedMs = 0; ; waitedMs += betweenMs) {
    try {
      return change();
    } catch (error) {
      if (!(error instanceof StateTaken)) throw error;
      if (waitedMs >= patienceMs)
        throw new Error(
          `change the relays: another nixie relay-token has had ${placeIn(stateDir, 'relaysLock')}, which names its process, for ${patienceMs / 1000} s; nothing was changed: end that one, then try again`,
          { cause: error },
        );
    }
    await sleep(betweenMs);
  }
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
