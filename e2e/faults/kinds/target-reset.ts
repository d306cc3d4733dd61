// The machine is reset in the middle of its install: it boots the installer again, and its disk holds what this run wrote.
import { setTimeout as sleep } from 'node:timers/promises';
import { allProved, type Fault } from '../fault.ts';
import type { Field } from '../field.ts';

const moments = {
  disko: async (field: Field) => {
    await field.logged(/Formatting hard drive with disko/);
    // The table is written, the file systems aren't.
    await sleep(700);
  },
  copy: (field: Field) => field.copying(),
  install: (field: Field) => field.logged(/Installing NixOS/),
} as const;

export function targetReset(stage: keyof typeof moments): Fault {
  return {
    name: `target-reset-${stage}`,
    what: 'machine reset',
    where: stage === 'install' ? 'nixos-install' : stage,
    async inject(field) {
      await moments[stage](field);
      field.struck();
      await field.machine().reset();
    },
    expect: allProved,
  };
}

export const targetResets: readonly Fault[] = (Object.keys(moments) as (keyof typeof moments)[]).map(targetReset);
