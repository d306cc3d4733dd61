// The state folder of a simulated controller: what outlives a kill.
import type { BegunShelf } from '../../controller/src/store/begun.ts';
import type { UsedConsent } from '../../controller/src/store/consents.ts';
import type { Kept } from './controller.ts';
import type { Random } from './random.ts';

export function emptyState(random: Random): Kept {
  const marks = new Map<string, string>();
  const begun = new Map<string, ReturnType<BegunShelf['read']>>();
  const consents = new Map<string, UsedConsent>();
  return {
    begun: {
      read: (host) => begun.get(host),
      write: (host, entry) => void begun.set(host, entry),
      remove: (host) => void begun.delete(host),
    },
    marks: {
      get: (host) => marks.get(host),
      set: (host, toplevel) => void marks.set(host, toplevel),
      clear: (host) => void marks.delete(host),
    },
    consents: {
      get: (host) => consents.get(host),
      put: (host, used) => void (used === undefined ? consents.delete(host) : consents.set(host, used)),
    },
    registrations: new Map(),
    hostKeys: new Map(),
    leases: {},
    tokens: [],
    journal: [],
    secret: random.bytes(32),
    fingerprint: random.hex(32),
  };
}
