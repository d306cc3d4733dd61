// For tests: a host of which the hosts file says nothing but its name and its MACs.
import type { Host } from './host.ts';
import type { Mac } from './mac.ts';

export function plainHost(name: string, macs: readonly string[], more: Partial<Host> = {}): Host {
  return {
    name,
    flakeAttr: name,
    macs: macs as readonly Mac[],
    system: 'x86_64-linux',
    tags: [],
    boot: [],
    expectDisks: [],
    wipe: false,
    ...more,
  };
}
