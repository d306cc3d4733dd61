// For tests: the inventory by a clock that stands while anything is being read, so that a busy computer costs no section its deadline.
import { mock } from 'node:test';
import type { Inventory } from '@nixie/proto/inventory';
import { type CollectOptions, collectInventory } from './collect.ts';
import { recordedSource } from './recorded.ts';
import type { Source } from './source.ts';

/** What a read that hangs gives: the clock doesn't wait for it. */
export const never = new Promise<never>(() => {});

/** As `collectInventory`; a deadline passes once nothing but `never` is waited for. One at a time: the timers of the whole process stand. */
export async function collectIdle(options: CollectOptions): Promise<Inventory> {
  const whole = options.source ?? recordedSource(options.root);
  let underWay = 0;
  const counted = <Of extends readonly never[], T>(ask: (...of: Of) => Promise<T>): ((...of: Of) => Promise<T>) => {
    return (...of) => {
      const answer = ask(...of);
      if (answer === never) return answer;
      underWay += 1;
      return answer.finally(() => {
        underWay -= 1;
      });
    };
  };
  const source: Source = {
    ...whole,
    read: counted(whole.read),
    list: counted(whole.list),
    link: counted(whole.link),
    real: counted(whole.real),
    run: counted(whole.run),
    kernelErrors: counted(whole.kernelErrors),
    lookAt: counted(whole.lookAt),
  };
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    let over = false;
    const inventory = collectInventory({ ...options, source }).finally(() => {
      over = true;
    });
    // A failure is thrown below.
    inventory.catch(() => {});
    while (!over) {
      await new Promise((next) => setImmediate(next));
      // In small steps: what ends with a deadline comes before the next one.
      if (underWay === 0) mock.timers.tick(10);
    }
    return await inventory;
  } finally {
    mock.timers.reset();
  }
}
