// All that a run takes from its state folder and keeps there. Whatever the folder holds, the run goes on: what is broken is set aside and said.

import { makeStateDir } from './config/state-dir.ts';
import { makeRunFolder, type RunFolder } from './install/folders.ts';
import { type Keygen, type KeyPair, makeKey, proofKey } from './install/keys.ts';
import { removeLeftovers } from './install/leftovers.ts';
import { answers } from './listen/operator.ts';
import type { Mac } from './machine/mac.ts';
import type { TokenBook } from './machine/token.ts';
import { type Begun, openBegun } from './store/begun.ts';
import { type Consents, openConsents } from './store/consents.ts';
import { type HardwareShelf, openHardware } from './store/hardware.ts';
import { type Journal, openJournal } from './store/journal.ts';
import { type LastAddresses, openLastAddresses } from './store/last-addresses.ts';
import {
  readDeclined,
  readLeases,
  readSubnetLeases,
  type SubnetLeases,
  writeDeclined,
  writeLeases,
} from './store/leases.ts';
import { StateTaken, takeLock } from './store/lock.ts';
import { type Marks, openMarks } from './store/marks.ts';
import { operatorSocket } from './store/operator-socket.ts';
import { placeIn, tidy } from './store/places.ts';
import { openRegistrations, type Registrations } from './store/registrations.ts';
import { loadTls } from './store/tls.ts';
import { readTokens, writeTokens } from './store/tokens.ts';

export interface StateRequest {
  readonly stateDir: string;
  readonly uid: number;
  readonly runtimeDir: string | undefined;
  readonly keygen: Keygen;
  readonly now: () => number;
  /** Milliseconds of a clock that nobody sets: that of the tokens. */
  readonly ticks: () => number;
  /** What was found broken and what can't be written. */
  readonly warn: (text: string) => void;
}

export interface RunState {
  readonly tls: Awaited<ReturnType<typeof loadTls>>;
  /** Of this run alone, in memory where there is a place for it. */
  readonly folder: RunFolder;
  readonly runKey: KeyPair;
  readonly proofKey: KeyPair;
  readonly journal: Journal;
  readonly registrations: Registrations;
  readonly marks: Marks;
  readonly begun: Begun;
  readonly hardware: HardwareShelf;
  readonly consents: Consents;
  readonly operatorSocket: string;
  readonly leases: Readonly<Record<Mac, string>>;
  readonly declined: ReadonlySet<string>;
  /** The same in declared subnets. */
  readonly subnetLeases: SubnetLeases;
  keepLeases(leases: Readonly<Record<Mac, string>>, subnets: SubnetLeases): void;
  /** Where each host was proved last. */
  readonly lastAddresses: LastAddresses;
  /** Remembers that a machine found this address to be somebody else's. */
  decline(address: string): void;
  restoreTokens(tokens: TokenBook): void;
  /** Soon written; many changes together. */
  tokensChanged(tokens: TokenBook): void;
  close(): Promise<void>;
}

/** Between a change of the tokens and their writing, milliseconds. */
const tokensAfterMs = 200;

/** @throws StateTaken when another run uses the folder */
export async function openState(request: StateRequest): Promise<RunState> {
  const { stateDir, uid, now, ticks, warn } = request;
  const place = (name: Parameters<typeof placeIn>[1]) => placeIn(stateDir, name);
  makeStateDir(stateDir, uid);
  const unlock = takeLock(stateDir);
  let folder: RunFolder | undefined;
  try {
    const socket = operatorSocket(stateDir, uid, request.runtimeDir);
    // The holder of the lock may be out of sight, in another container.
    if (await answers(socket)) throw new StateTaken(stateDir, `a nixie that answers at ${socket}`);
    for (const text of tidy(stateDir)) warn(text);
    const left = removeLeftovers(place('run'));
    if (left.processes > 0)
      warn(`${left.processes} processes of a run that was killed were still at work; they were ended`);
    const tls = await loadTls(stateDir);
    if (tls.setAside !== undefined)
      warn(`the controller's key was damaged and is now ${tls.setAside}; agents that run already will not come back`);
    const run = await makeRunFolder(place('run'));
    folder = run;
    const runKey = await makeKey(run.keys, 'run', 'nixie-run', request.keygen);
    const proof = await proofKey(stateDir, request.keygen);
    const journal = openJournal(place('journal'), { onTrouble: warn });
    const declined = readDeclined(place('declined'), now());
    const avoided = new Set(declined.keys());
    const keep = (what: string, write: () => void): void => {
      try {
        write();
      } catch (error) {
        warn(`keep ${what}: ${(error as Error).message}`);
      }
    };
    let writing: { timer: NodeJS.Timeout; tokens: TokenBook } | undefined;
    const writeNow = (): void => {
      if (writing === undefined) return;
      clearTimeout(writing.timer);
      const list = writing.tokens.list(now() - ticks());
      writing = undefined;
      keep('tokens', () => writeTokens(place('tokens'), list));
    };
    return {
      tls,
      folder: run,
      runKey,
      proofKey: proof,
      journal,
      registrations: openRegistrations(place('registrations'), warn),
      marks: openMarks(place('marks')),
      begun: openBegun(place('begun'), warn),
      hardware: openHardware(place('hardware')),
      consents: openConsents(place('consents')),
      operatorSocket: socket,
      leases: readLeases(place('leases')),
      subnetLeases: readSubnetLeases(place('leases')),
      lastAddresses: openLastAddresses(place('lastAddresses'), warn),
      declined: avoided,
      keepLeases: (leases, subnets) => keep('leases', () => writeLeases(place('leases'), leases, subnets)),
      decline(address) {
        avoided.add(address);
        declined.set(address, now());
        keep('declined addresses', () => writeDeclined(place('declined'), declined));
      },
      restoreTokens: (tokens) => tokens.restore(readTokens(place('tokens')), ticks(), now()),
      tokensChanged(tokens) {
        writing ??= { timer: setTimeout(writeNow, tokensAfterMs), tokens };
      },
      async close() {
        writeNow();
        journal.close();
        try {
          await run.remove();
        } finally {
          unlock();
        }
      },
    };
  } catch (error) {
    await folder?.remove().catch(() => undefined);
    unlock();
    throw error;
  }
}
