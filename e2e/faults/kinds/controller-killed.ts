// The controller is killed and started again with the same arguments and state. Its children live on.
import { setTimeout as sleep } from 'node:timers/promises';
import { allProved, type Fault } from '../fault.ts';
import type { Field } from '../field.ts';

const moments = {
  waking: (field: Field) => field.reached('waking'),
  firmware: (field: Field) => field.reached('firmware'),
  loading: (field: Field) => field.reached('loading'),
  preflight: (field: Field) => field.reached('preflight'),
  disko: (field: Field) => field.logged(/Formatting hard drive with disko/),
  copy: (field: Field) => field.copying(),
  install: (field: Field) => field.logged(/Installing NixOS/),
  proving: (field: Field) => field.reached('proving'),
} as const;

export function controllerKilled(stage: keyof typeof moments): Fault {
  return {
    name: `controller-killed-${stage}`,
    what: 'controller killed (SIGKILL) and started again',
    where: stage,
    async inject(field) {
      await moments[stage](field);
      field.struck();
      field.run.signal('SIGKILL');
      await field.run.exited;
      await sleep(1000);
      field.start();
    },
    expect: allProved,
  };
}

export const controllerKills: readonly Fault[] = (Object.keys(moments) as (keyof typeof moments)[]).map(
  controllerKilled,
);
