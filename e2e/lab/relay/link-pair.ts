// A relay and the door of a controller in this process, linked over loopback by real TLS. The relay's subnet is 127.0.0.0/8.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { Places } from '../../../controller/src/listen/relay-carry.ts';
import { type RelayDoor, startRelayDoor } from '../../../controller/src/listen/relays.ts';
import { openLink } from '../../../controller/src/relay/link.ts';
import { makeTls } from '../../../controller/src/store/tls.ts';

export interface LinkPair {
  readonly door: RelayDoor;
  /** The relay goes, and doesn't come back. */
  cut(): Promise<void>;
  close(): Promise<void>;
}

export async function makeLinkPair(name: string): Promise<LinkPair> {
  const tls = await makeTls();
  const up = Promise.withResolvers<void>();
  const door = await startRelayDoor({
    addresses: ['127.0.0.1'],
    port: 0,
    tls,
    version: 'lab',
    places: new Places(),
    agentPort: () => undefined,
    fetch: async () => undefined,
    ticks: () => performance.now(),
    desk: {
      admit: () => 'ok',
      isRevoked: () => false,
      up: () => up.resolve(),
      down: () => {},
      word: () => {},
      refused: (_name, _peer, why) => up.reject(new Error(why)),
      odd: (_about, what) => up.reject(new Error(what)),
    },
  });
  const link = openLink({
    endpoint: { host: '127.0.0.1', port: door.port },
    token: {
      name,
      url: `https://127.0.0.1:${door.port}`,
      fingerprint: tls.fingerprint,
      secret: randomBytes(32),
    },
    key: generateKeyPairSync('ed25519').privateKey,
    version: 'lab',
    life: 'lab',
    interfaces: () => [{ name: 'lo', address: '127.0.0.2', prefixLength: 8, mtu: 65_536 }],
    random: Math.random,
    onUp: () => {},
    onDown: () => {},
    onPlan: () => {},
    onFind: async () => [],
    onWake: async () => ({ sent: 0, failures: [] }),
  });
  await up.promise;
  return {
    door,
    cut: () => link.close(),
    async close() {
      await link.close();
      await door.close();
    },
  };
}
