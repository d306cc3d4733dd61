// `nixie inventory`: of the controller that runs, over the socket in its state folder; of what it keeps there, where none runs.
import { readdirSync } from 'node:fs';
import * as grpc from '@grpc/grpc-js';
import type { Inventory } from '@nixie/proto/inventory';
import { writeInventoryJson } from '@nixie/proto/inventory-json';
import { type InventoryResponse, type ListResponse, OperatorServiceClient } from '@nixie/proto/operator';
import { type ExitCode, exitCodes } from '../cli/exit-codes.ts';
import { nixModule, runtimeInfo } from '../cli/inventory-exports.ts';
import type { InventoryRequest } from '../cli/inventory-request.ts';
import { inventoryPage, inventoryTable } from '../cli/inventory-table.ts';
import { notYours } from '../cli/operator-request.ts';
import { clean } from '../cli/text.ts';
import { wholeInventory } from '../machine/whole-inventory.ts';
import { openHardware } from '../store/hardware.ts';
import { placeIn } from '../store/places.ts';
import { openRegistrations } from '../store/registrations.ts';

export interface InventoryWorld {
  readonly out: (text: string | Uint8Array) => void;
  readonly err: (text: string) => void;
}

/** What is known of one machine. */
interface Known {
  readonly inventory?: Inventory;
  readonly facter?: Uint8Array;
  /** Why there is none. */
  readonly facterMissing?: string;
}

/** Where it is known from. */
interface Source {
  hosts(): Promise<readonly string[]>;
  /** Undefined: there is no such host. */
  about(host: string): Promise<Known | undefined>;
}

const answerMs = 10_000;

export async function inventory(request: InventoryRequest, world: InventoryWorld): Promise<ExitCode> {
  grpc.setLogVerbosity(grpc.logVerbosity.NONE);
  const client = new OperatorServiceClient(`unix:${request.socket}`, grpc.credentials.createInsecure());
  try {
    return await tell(request, ofController(client), world);
  } catch (error) {
    const { code, details } = error as grpc.ServiceError;
    if (code === undefined) throw error;
    if (code === grpc.status.UNAVAILABLE && /EACCES/.test(details)) {
      world.err(`nixie: ${notYours(request.socket)}\n`);
      return exitCodes.unable;
    }
    if (code !== grpc.status.UNAVAILABLE) {
      world.err(`nixie: ask the controller at ${request.socket}: ${clean(details)}\n`);
      return code === grpc.status.DEADLINE_EXCEEDED ? exitCodes.unable : exitCodes.failed;
    }
    const source = kept(request.stateDir);
    if (request.host === undefined && (await source.hosts()).length === 0) {
      const where = `no controller answers at ${request.socket}, and ${request.stateDir} keeps nothing of any machine`;
      world.err(`nixie: ${where}; is this its --state?\n`);
      return exitCodes.unable;
    }
    return await tell(request, source, world, ` and ${request.stateDir} keeps nothing of it`);
  } finally {
    client.close();
  }
}

async function tell(request: InventoryRequest, source: Source, world: InventoryWorld, besides = ''): Promise<ExitCode> {
  const { host, format } = request;
  if (host === undefined) return await tellAll(request, source, world);
  const known = await source.about(host);
  if (known === undefined) {
    world.err(
      `nixie: ${besides === '' ? `there is no host "${host}" in this run` : `no controller answers at ${request.socket},${besides}; is this its --state?`}\n`,
    );
    return exitCodes.usage;
  }
  if (format === 'facter') {
    if (known.facter !== undefined) world.out(known.facter);
    else {
      const { facterMissing: why } = known;
      const said =
        why === undefined || why === 'not-installed'
          ? 'sent no report of nixos-facter: is it in the installer image?'
          : `has no report of nixos-facter: ${clean(why)}`;
      world.err(`nixie: ${host} ${said}\n`);
    }
    return known.facter === undefined ? exitCodes.failed : exitCodes.done;
  }
  if (known.inventory === undefined) {
    world.err(`nixie: the agent of ${host} has not reported yet\n`);
    return exitCodes.failed;
  }
  const { inventory: found } = known;
  const texts: Readonly<Record<Exclude<InventoryRequest['format'], 'facter'>, () => string>> = {
    table: () => `${inventoryPage({ host, inventory: found }).join('\n')}\n`,
    json: () => `${writeInventoryJson(found)}\n`,
    'runtime-info': () => runtimeInfo(host, found),
    nix: () => nixModule(host, found),
  };
  world.out(texts[format]());
  return exitCodes.done;
}

async function tellAll({ format }: InventoryRequest, source: Source, world: InventoryWorld): Promise<ExitCode> {
  const all: { host: string; inventory?: Inventory }[] = [];
  for (const host of await source.hosts()) {
    const known = await source.about(host);
    all.push({ host, ...(known?.inventory === undefined ? {} : { inventory: known.inventory }) });
  }
  if (format === 'table') world.out(`${inventoryTable(all).join('\n')}\n`);
  else
    for (const { host, inventory: found } of all)
      if (found !== undefined)
        world.out(`{"host":${JSON.stringify(host)},"inventory":${writeInventoryJson(found, 0)}}\n`);
  return exitCodes.done;
}

function ofController(client: OperatorServiceClient): Source {
  const soon = () => [new grpc.Metadata(), { deadline: Date.now() + answerMs }] as const;
  return {
    hosts: async () => {
      const answer = await new Promise<ListResponse>((resolve, reject) =>
        client.list({}, ...soon(), (error, list) => (error === null ? resolve(list) : reject(error))),
      );
      return answer.machines.map(({ host }) => host);
    },
    about: (host) =>
      new Promise((resolve, reject) =>
        client.inventory({ host }, ...soon(), (error: grpc.ServiceError | null, answer: InventoryResponse) => {
          if (error === null)
            resolve({
              ...(answer.inventory === undefined ? {} : { inventory: answer.inventory }),
              ...(answer.facterJson === undefined ? {} : { facter: answer.facterJson }),
              ...(answer.facterMissing === undefined ? {} : { facterMissing: answer.facterMissing }),
            });
          else if (error.code === grpc.status.NOT_FOUND) resolve(undefined);
          else if (error.code === grpc.status.FAILED_PRECONDITION) resolve({});
          else reject(error);
        }),
      ),
  };
}

/** What the controller left in its state folder. */
function kept(stateDir: string): Source {
  const registrations = openRegistrations(placeIn(stateDir, 'registrations'));
  const hardware = openHardware(placeIn(stateDir, 'hardware'));
  const list = (folder: string): string[] => {
    try {
      return readdirSync(folder);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') return [];
      throw new Error(`read what the controller keeps: ${message}`, { cause: error });
    }
  };
  return {
    hosts: async () => {
      const names = list(placeIn(stateDir, 'registrations')).flatMap((name) => /^(.+)\.json$/.exec(name)?.[1] ?? []);
      return [...new Set([...names, ...list(placeIn(stateDir, 'hardware'))])].sort();
    },
    about: async (host) => {
      const whole = wholeInventory(hardware.inventory(host), registrations.get(host)?.inventory);
      const facter = hardware.facter(host);
      if (whole === undefined && facter === undefined) return undefined;
      return {
        ...(whole === undefined ? {} : { inventory: whole }),
        ...(facter === undefined ? {} : { facter }),
      };
    },
  };
}
