// The scene that answers to firmware are made from: derived anew from settings and lives at every change, never edited.
import type { Loaders, Scene, SceneInterface, SceneMachine } from '../answer/scene.ts';
import type { Host } from '../machine/host.ts';
import { type Life, offerIn } from '../machine/life.ts';
import type { Mac } from '../machine/mac.ts';

export interface SceneParts {
  readonly interfaces: readonly SceneInterface[];
  readonly loaders: Loaders;
  readonly httpPort: number;
  /** Address of each MAC when we are the DHCP server. */
  readonly addresses: Readonly<Record<Mac, string>>;
}

export function makeScene(
  parts: SceneParts,
  hosts: readonly Host[],
  lives: readonly Life[],
  leaving: (host: string) => boolean = () => false,
): Scene {
  const stageOf = new Map(lives.map((life) => [life.host, life.stage]));
  const machineOfMac: Record<Mac, string> = {};
  const machines: Record<string, SceneMachine> = {};
  for (const host of hosts) {
    // Its relay answers it, and nobody else.
    if (host.relay !== undefined) continue;
    const addresses: Record<Mac, string> = {};
    for (const mac of host.macs) {
      machineOfMac[mac] = host.name;
      const address = parts.addresses[mac];
      if (address !== undefined) addresses[mac] = address;
    }
    const stage = stageOf.get(host.name);
    machines[host.name] = {
      name: host.name,
      offer: stage === undefined || leaving(host.name) ? 'silent' : offerIn(stage),
      system: host.system,
      addresses,
      ...(host.subnet === undefined ? {} : { only: host.subnet }),
    };
  }
  return {
    interfaces: Object.fromEntries(parts.interfaces.map((each) => [each.name, each])),
    machineOfMac,
    machines,
    loaders: parts.loaders,
    httpPort: parts.httpPort,
  };
}
