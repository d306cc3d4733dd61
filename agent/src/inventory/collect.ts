import type { Inventory } from '@nixie/proto/inventory';
import { agentVersion } from '../version.ts';
export async function collectInventory(_: {
  root: string;
  bootMac?: string | undefined;
  reachedBy?: string | undefined;
  diskDeadlineMs?: number;
}): Promise<Inventory> {
  return {
    schemaVersion: 1,
    agentVersion,
    collectedInMs: 0,
    boot: undefined,
    system: undefined,
    cpu: undefined,
    memory: undefined,
    disks: [],
    nics: [],
    errors: [],
  };
}
