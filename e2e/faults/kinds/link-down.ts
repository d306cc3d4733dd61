// The cable of a machine is out for 20 seconds, once in each stage in which it is on.
import { allProved, type Fault } from '../fault.ts';
import type { Field } from '../field.ts';

const downMs = 20_000;
const moments = {
  firmware: (field: Field) => field.reached('firmware'),
  loading: (field: Field) => field.reached('loading'),
  preflight: (field: Field) => field.reached('preflight'),
  disko: (field: Field) => field.logged(/Formatting hard drive with disko/),
  copy: (field: Field) => field.copying(),
  install: (field: Field) => field.logged(/Installing NixOS/),
  rebooting: (field: Field) => field.reached('rebooting'),
  proving: (field: Field) => field.reached('proving'),
} as const;

export function linkDown(stage: keyof typeof moments): Fault {
  return {
    name: `link-down-${stage}`,
    what: 'link down for 20 s',
    where: stage,
    async inject(field) {
      await moments[stage](field);
      field.struck();
      await field.unplug(downMs);
    },
    expect: allProved,
  };
}

export const linkDowns: readonly Fault[] = (Object.keys(moments) as (keyof typeof moments)[]).map(linkDown);
