// The controller is killed while it copies, and started again with the same arguments and state. Its children live on.
import { setTimeout as sleep } from 'node:timers/promises';
import { allProved, type Fault } from '../fault.ts';

export const controllerKilled: Fault = {
  name: 'controller-killed-copy',
  what: 'controller killed (SIGKILL) and started again',
  where: 'copy',
  async inject(field) {
    await field.copying();
    field.struck();
    field.run.signal('SIGKILL');
    await field.run.exited;
    await sleep(1000);
    field.start();
  },
  expect: allProved,
};
