// From hosts to machines that begin: they are evaluated and built, and what was built for each starts its life.
import type { Account } from './core/account.ts';
import type { Core } from './core/core.ts';
import type { Hosts } from './core/hosts.ts';
import type { Prepared } from './core/prepare.ts';
import type { Plan } from './core/tasks.ts';
import type { Host, System } from './machine/host.ts';
import type { Installer } from './nix/types.ts';
import type { Marks } from './store/marks.ts';

export interface LaunchWorld {
  readonly hosts: Pick<Hosts, 'named'>;
  readonly core: Pick<Core, 'happened' | 'life'>;
  readonly account: Pick<Account, 'notice' | 'keepLog'>;
  readonly plans: Map<string, Plan>;
  readonly marks: Pick<Marks, 'get'>;
  /** Serves its files from now on, beside those of earlier ones. */
  takeInstaller(system: System, installer: Installer): void;
  /** Why the plan's installer can't boot this machine. */
  unbootable(plan: Plan): string | undefined;
}

/** One that left or was changed while it was being built waits for nothing here any more. */
const waits = (world: LaunchWorld, host: Host): boolean =>
  world.hosts.named(host.name) === host && world.core.life(host.name)?.stage === 'planned';

/** @param hosts for which all this was prepared */
export function launch(world: LaunchWorld, hosts: readonly Host[], prepared: Prepared): void {
  const { core, account, plans, marks } = world;
  for (const [system, installer] of prepared.installers) world.takeInstaller(system, installer);
  for (const warning of prepared.warnings) account.notice('warning', warning);
  const mine = hosts.filter((host) => waits(world, host));
  for (const { name } of mine) {
    const plan = prepared.plans.get(name);
    const problem = plan === undefined ? undefined : world.unbootable(plan);
    if (problem !== undefined) core.happened(name, { kind: 'failed', reason: problem });
    else if (plan !== undefined) plans.set(name, plan);
  }
  for (const { name } of mine) {
    const failure = prepared.failures.get(name);
    if (failure === undefined) continue;
    account.keepLog(name, failure.log);
    core.happened(name, { kind: 'failed', reason: failure.text });
  }
  for (const { name } of mine) {
    const plan = plans.get(name);
    if (plan !== undefined && prepared.plans.has(name))
      core.happened(name, { kind: marks.get(name) === plan.system.toplevel.out ? 'reboot-marked' : 'begin' });
  }
}
