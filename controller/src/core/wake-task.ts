// A machine that sleeps: magic packets until something is heard of it, and now and then a look whether it has come up from its disk instead.
import type { Life } from '../machine/life.ts';
import { iso } from './core.ts';
import { look } from './proof-tasks.ts';
import type { Plan, TaskWorld } from './task-world.ts';

/** Milliseconds between rounds of magic packets: soon at first, because packets get lost, then patiently. */
const wakePauses = [5000, 10_000, 15_000, 30_000];
/** Milliseconds before each look: a machine needs its time to start. */
const lookPauses = [30_000, 60_000];

/** Until the signal: something was heard of it, or somebody has lost patience. */
export async function wake(world: TaskWorld, plan: Plan, life: Life, signal: AbortSignal): Promise<void> {
  const inTurn = async () => {
    await world.wakeInTurn?.(plan.host, signal);
    await sendPackets(world, plan, life, signal);
  };
  await Promise.all([inTurn(), lookAgain(world, plan, life, signal)]);
}

async function sendPackets(world: TaskWorld, plan: Plan, life: Life, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  if (world.mayLoseData(plan.host) && (await isThere(world, plan, signal)))
    world.emit({
      event: 'notice',
      at: iso(world.now()),
      host: life.host,
      level: 'warning',
      text: `${life.host} seems to be up: it is installed again when it next boots from the network`,
    });
  for (let round = 0; !signal.aborted; round++) {
    const { macs, relay } = plan.host;
    const sent = await world.wake(macs, signal, relay);
    const by = relay === undefined ? {} : { relay };
    const detail = `${sent} packets`;
    world.emit({ event: 'seen', at: iso(world.now()), host: life.host, kind: 'wake-sent', ...by, detail });
    await world.sleep(wakePauses[Math.min(round, wakePauses.length - 1)]!, signal);
  }
}

/** Only for what the operator is told: one that can't be looked for is woken all the same. */
async function isThere(world: TaskWorld, { host }: Plan, signal: AbortSignal): Promise<boolean> {
  const found = await world.finder.find(host.macs, signal, host.relay).catch(() => []);
  return found.length > 0;
}

/** One that is proved is left alone at once. A doubt must be seen twice: on its way up a machine may show other keys than its own. */
async function lookAgain(world: TaskWorld, plan: Plan, life: Life, signal: AbortSignal): Promise<void> {
  let doubt: string | undefined;
  for (let round = 0; ; round++) {
    await world.sleep(lookPauses[Math.min(round, lookPauses.length - 1)]!, signal);
    if (signal.aborted) return;
    const once = async () => {
      // A look that can't be had is no news of the machine, and no end of a doubt.
      const seen = await look(world, plan, signal).catch(() => 'unknown' as const);
      if (signal.aborted || seen === 'unknown') return;
      const sure = seen?.kind !== 'found-doubtful' || seen.reason === doubt;
      doubt = seen?.kind === 'found-doubtful' ? seen.reason : undefined;
      if (seen !== undefined && sure) world.tell(life.host, seen);
    };
    await world.lookInTurn(once, life.host, signal);
  }
}
