// A controller reduced to its doors for relays and for agents, in this namespace: it sends the plans that it is told, and says what it hears. Its
// installer is made of the files of the first argument. Ended by the end of its input.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { BootPlan, FromRelay } from '@nixie/proto/relay';
import { Places } from '../../../controller/src/listen/relay-carry.ts';
import { fileToFetch } from '../../../controller/src/listen/relay-fetch.ts';
import type { RelaySession } from '../../../controller/src/listen/relay-session.ts';
import { startRelayDoor } from '../../../controller/src/listen/relays.ts';
import type { Mac } from '../../../controller/src/machine/mac.ts';
import { RelayShelf, secretHashOf } from '../../../controller/src/store/relays.ts';
import { loadTls } from '../../../controller/src/store/tls.ts';
import { openDoor } from '../agent/door.ts';
import { uplink } from './subnets.ts';

const { stateDir, files } = JSON.parse(process.argv[2]!) as { stateDir: string; files: string[] };
const say = (line: object): void => console.log(JSON.stringify(line));
const tls = await loadTls(stateDir);
const shelf = new RelayShelf(stateDir, (text) => say({ odd: text }));
const places = new Places();
const table = new Map(
  files.map((path) => {
    const bytes = readFileSync(path);
    return [createHash('sha256').update(bytes).digest('hex'), { path, bytes: bytes.length }] as const;
  }),
);
const sessions = new Set<RelaySession>();
const plans = new Map<string, BootPlan>();
/** Bytes that went to relays, by file. */
const fetched: Record<string, number> = {};

const agents = await openDoor(tls, { heartbeatMs: 500 });
const door = await startRelayDoor({
  addresses: [uplink.controller],
  port: 7482,
  tls,
  version: 'lab',
  places,
  agentPort: () => agents.server.port,
  fetch: async (_relay, what) => {
    const found = what.$case === 'sha256' ? table.get(what.value) : undefined;
    if (found === undefined) return undefined;
    const { totalBytes, read } = fileToFetch(found.path, found.bytes);
    return {
      totalBytes,
      async *read(offset, signal) {
        for await (const piece of read(offset, signal)) {
          fetched[what.value] = (fetched[what.value] ?? 0) + piece.length;
          yield piece;
        }
      },
    };
  },
  ticks: () => performance.now(),
  aliveMs: 1000,
  desk: {
    admit(name, secret, key) {
      const verdict = shelf.admit(name, secret, key);
      return verdict === 'ok' ? 'ok' : { why: verdict };
    },
    isRevoked(session) {
      shelf.refresh();
      return !shelf.holds(session.name, secretHashOf(session.secret));
    },
    up(session) {
      sessions.add(session);
      say({ up: session.name, interfaces: session.interfaces });
      const plan = plans.get(session.name);
      if (plan !== undefined) session.sendPlan(plan);
    },
    down(session, why) {
      sessions.delete(session);
      say({ down: session.name, why });
    },
    word: (session, word) =>
      say({ relay: session.name, ...(FromRelay.toJSON({ message: word, number: 0n }) as object) }),
    refused: (name, peer, why) => say({ refused: name, peer, why }),
    odd: (about, what) => say({ odd: `${about}: ${what}` }),
  },
});

say({ ready: true });
createInterface({ input: process.stdin })
  .on('line', async (text) => {
    const request = JSON.parse(text) as Record<string, unknown>;
    if (request.do === 'plan') {
      const plan = BootPlan.fromJSON({ fingerprint: tls.fingerprint, ...(request.plan as object) });
      plans.set(request.relay as string, plan);
      for (const session of sessions) if (session.name === request.relay) session.sendPlan(plan);
      say({ answer: true });
    } else if (request.do === 'token') {
      say({ answer: true, token: agents.tokens.issue(request.mac as Mac, request.host as string, Date.now()) });
    } else if (request.do === 'find') {
      const [session] = sessions;
      say({ answer: true, addresses: await session!.find([request.mac as Mac], 15_000) });
    } else if (request.do === 'wake') {
      const [session] = sessions;
      say({ answer: true, ...(await session!.wake(request.mac as Mac, 10_000)) });
    } else {
      const { registered, ups } = agents;
      say({ answer: true, fetched, registered: registered.map(({ mac }) => mac), sessions: ups.length });
    }
  })
  .on('close', async () => {
    await door.close();
    await agents.server.close();
    process.exit(0);
  });
