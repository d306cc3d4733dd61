// What the operator may have done to a machine of a run. A refusal is a sentence.
import type { Account } from './account.ts';
import type { Admission } from './admission.ts';
import type { Core } from './core.ts';

export interface DeskWorld {
  readonly core: Pick<Core, 'happened' | 'life'>;
  readonly account: Pick<Account, 'forgetLog'>;
  readonly admission: Pick<Admission, 'begunAnew'>;
  /** Something was built for it. */
  built(host: string): boolean;
  /** Has it evaluated and built anew, and begin when that is done. Absent: what failed there stays as it is. */
  prepareAgain?(host: string): void;
  /** What its operator has allowed counts once more. */
  renewConsent(host: string): void;
  /** The boot whose agent has a session now. */
  bootOf(host: string): string | undefined;
}

export type Refusal = { readonly refused: string } | undefined;

/** Has a machine that failed or was refused begin anew. What was counted and kept of its first attempt is forgotten. */
export function retry(world: DeskWorld, host: string): Refusal {
  const life = world.core.life(host);
  if (life?.stage === 'failed' && !world.built(host) && world.prepareAgain !== undefined) {
    world.account.forgetLog(host);
    world.prepareAgain(host);
    return undefined;
  }
  if (life !== undefined && !world.built(host))
    return {
      refused:
        life.stage === 'failed'
          ? `${host} failed in the preparation (${life.reason ?? 'nothing was built for it'}): mend that, and start a new run`
          : `${host} is ${life.stage}: there is nothing to try again yet`,
    };
  const refused = life?.stage === 'refused';
  const moved = world.core.happened(host, { kind: 'retry' });
  if (!moved.moved) return { refused: moved.sentence };
  // The operator knows now what is on its disks; of one that failed for another reason nobody has said that.
  if (refused) world.renewConsent(host);
  world.account.forgetLog(host);
  world.admission.begunAnew(host, world.bootOf(host));
  return undefined;
}

export function cancel(world: Pick<DeskWorld, 'core'>, host: string): Refusal {
  const moved = world.core.happened(host, { kind: 'cancelled', reason: 'cancelled by the operator' });
  return moved.moved ? undefined : { refused: moved.sentence };
}
