// What the operator asks of a run that goes on (status, logs, wake, retry, cancel, doctor), on its way to those who know and decide.
import type { Arrivals } from './arrivals.ts';
import { cancel, type DeskWorld, retry } from './core/desk.ts';
import type { Hosts } from './core/hosts.ts';
import type { TaskWorld } from './core/task-world.ts';
import type { OpenDoors } from './doors.ts';
import type { OperatorDesk } from './listen/operator.ts';
import { wholeInventory } from './machine/whole-inventory.ts';
import type { Machines } from './machines.ts';
import type { Roster } from './roster.ts';
import type { RunState } from './state.ts';

export interface OperatorDeskWorld {
  readonly hosts: Pick<Hosts, 'named'>;
  readonly state: Pick<RunState, 'hardware'>;
  readonly machines: Pick<Machines, 'account' | 'consent' | 'core' | 'plans' | 'trails'>;
  readonly arrivals: Pick<Arrivals, 'admission' | 'heard' | 'inventories' | 'strangers'>;
  readonly relays: Pick<OpenDoors['relays'], 'states'>;
  readonly tasks: Pick<TaskWorld, 'wake'>;
  /** Of a service: it can build a host anew. */
  readonly roster: Pick<Roster, 'again'> | undefined;
  readonly signal: AbortSignal;
}

export function makeOperatorDesk(world: OperatorDeskWorld): OperatorDesk {
  const { hosts, state, machines, arrivals, relays, tasks, roster, signal } = world;
  const { account, consent, core, plans, trails } = machines;
  const desk: DeskWorld = {
    core,
    account,
    admission: arrivals.admission,
    built: (host) => plans.hopes(host),
    renewConsent: (host) => consent.renew(host),
    ...(roster !== undefined && { prepareAgain: (host: string) => roster.again(host) }),
    bootOf: (host) => arrivals.heard.bootOf(host),
  };
  return {
    machines: () => account.machines(),
    strangers: () => arrivals.strangers(),
    relays: () => relays.states(),
    inventory: (host) => ({
      inventory: wholeInventory(state.hardware.inventory(host), arrivals.inventories.get(host)),
      facter: state.hardware.facter(host),
      facterMissing: state.hardware.facterMissing(host),
    }),
    retry: (host) => retry(desk, host),
    cancel: (host) => cancel(desk, host),
    wake: (host) => tasks.wake(hosts.named(host)?.macs ?? [], signal, hosts.named(host)?.relay),
    watch: (listener) => account.watch(listener),
    trail: (host) => trails.of(host),
    logs: account.log,
  };
}
