// The boot scripts that a relay gives out, by its plan and out of its stock of tokens. Whoever gets which is decided by the same function as at the
// controller.
import type { ScriptServed } from '@nixie/proto/relay';
import { installerScript, localScript, refusalScript, waitScript } from '../answer/script.ts';
import { BootCount, type ScriptVerdict, scriptRefusals, whichScript } from '../answer/script-policy.ts';
import type { AnswerScript, ScriptAsk } from '../listen/http.ts';
import type { Mac } from '../machine/mac.ts';
import type { Loads } from './loads.ts';
import type { MacAt } from './neighbours.ts';
import { offerOf, type PlannedMachine, type RelayPlan } from './plan.ts';

/** `crowded`: it has to wait until fewer load. */
type Verdict = ScriptVerdict | 'crowded';

export interface ScriptsWorld {
  /** The controller was not heard of for too long. */
  stale(): boolean;
  /** By the neighbour table. */
  readonly macAt: MacAt;
  readonly httpPort: number;
  readonly agentPort: number;
  /** Milliseconds of a clock that nobody sets. */
  readonly ticks: () => number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  say(served: ScriptServed): void;
  readonly loads: Loads;
  /** For the log. `stranger`: it was refused. */
  told(ask: ScriptAsk, machine: string | undefined, verdict: Verdict | 'unknown'): void;
}

/** The same is told again after so long, milliseconds. */
const againMs = 5000;

export class Scripts {
  readonly #world: ScriptsWorld;
  readonly #boots = new BootCount();
  /** Tokens that were given out and that a plan may still name: it was made before the controller heard of it. */
  #spent = new Set<string>();
  #plan: RelayPlan | undefined;
  /** When each verdict was told of each machine. */
  readonly #told = new Map<string, number>();

  constructor(world: ScriptsWorld) {
    this.#world = world;
  }

  /** From now on this plan holds. */
  take(plan: RelayPlan): void {
    const before = this.#plan;
    this.#plan = plan;
    const named = new Set<string>();
    for (const key of this.#told.keys()) if (!plan.machines.has(key.split(' ', 1)[0]!)) this.#told.delete(key);
    for (const { name, offer, cards } of plan.machines.values()) {
      // It begins anew by the operator's word: what was counted of it is forgotten.
      const earlier = before?.machines.get(name)?.offer;
      if (earlier === 'local' && offer !== 'local') this.#boots.forget(name);
      for (const { tokens } of cards) for (const token of tokens) if (this.#spent.has(token)) named.add(token);
    }
    this.#spent = named;
  }

  /** Tokens that are left for a machine's MAC. */
  tokensOf(mac: Mac): readonly string[] {
    const name = this.#plan?.machineOfMac.get(mac);
    const card = this.#plan?.machines.get(name ?? '')?.cards.find((each) => each.mac === mac);
    return (card?.tokens ?? []).filter((token) => !this.#spent.has(token));
  }

  readonly answer: AnswerScript = (ask) => {
    const { told } = this.#world;
    const plan = this.#plan;
    const name = plan?.machineOfMac.get(ask.mac);
    const machine = plan?.machines.get(name ?? '');
    if (plan === undefined || machine === undefined) {
      told(ask, undefined, 'unknown');
      return {
        refuse: plan === undefined ? 'this relay has heard nothing of its controller yet' : scriptRefusals.unknown,
      };
    }
    const { ticks, now, say } = this.#world;
    const tokens = this.tokensOf(ask.mac);
    const installer = plan.installers.get(machine.system);
    const whose = whichScript({
      seen: this.#world.macAt(ask.remoteAddress, { ours: ask.localAddress }),
      macs: machine.cards.map(({ mac }) => mac),
      offer: offerOf(machine, this.#world.stale()),
      leaving: false,
      hasInstaller: installer !== undefined,
      fetchedLately: this.#boots.lately(machine.name, ticks()),
      hasToken: tokens.length > 0,
    });
    const { loads } = this.#world;
    const verdict = whose === 'installer' && !loads.hasRoom(machine.name, plan.loads) ? 'crowded' : whose;
    const isNews = this.#isNews(machine.name, verdict);
    if (isNews || verdict === 'installer') told(ask, machine.name, verdict);
    if (verdict === 'stranger' || verdict === 'leaving') return { refuse: scriptRefusals[verdict] };
    const made = this.#text(ask, machine, plan, verdict, tokens[0] ?? '');
    const { script } = made;
    const token = made.hasToken ? tokens[0]! : '';
    if (token !== '') {
      this.#spent.add(token);
      this.#boots.add(machine.name, ticks());
      loads.began(machine.name);
    }
    const { mac, remoteAddress: address } = ask;
    const unixMs = BigInt(Math.round(now()));
    if (isNews || token !== '') say({ machine: machine.name, mac, token, address, unixMs, verdict });
    return { script };
  };

  /** Who fetches a script without a token again and again is told of once in a while: nothing of it may fill what waits for the uplink. */
  #isNews(machine: string, verdict: Verdict): boolean {
    const key = `${machine} ${verdict}`;
    const now = this.#world.ticks();
    const last = this.#told.get(key);
    if (last !== undefined && now - last < againMs) return false;
    this.#told.set(key, now);
    return true;
  }

  #text(
    { mac, localAddress }: ScriptAsk,
    { name, offer, system, boot }: PlannedMachine,
    plan: RelayPlan,
    verdict: Exclude<Verdict, 'stranger' | 'leaving'>,
    token: string,
  ): { script: string; hasToken: boolean } {
    const { httpPort, agentPort } = this.#world;
    const at = { address: localAddress, httpPort, mac };
    const files = plan.installers.get(system);
    const plain = (script: string) => ({ script, hasToken: false });
    switch (verdict) {
      case 'local':
      case 'loop':
        return plain(localScript(name));
      case 'installer-runs':
        return plain(waitScript(name, at));
      case 'crowded':
        return plain(waitScript(name, at, 'waits until fewer machines load'));
      case 'no-token':
        return plain(waitScript(name, at, 'has to wait until the relay hears of its controller'));
      case 'not-ready':
        return plain(
          refusalScript(
            offer === 'silent'
              ? `${name} is not ready to be installed yet`
              : `${name} can not be installed now: the relay has not heard of its controller for too long`,
          ),
        );
    }
    if (verdict === 'no-installer' || files === undefined)
      return plain(refusalScript(`there is no installer for ${system}`));
    const { fingerprint } = plan;
    try {
      const facing = { address: localAddress, httpPort, grpcPort: agentPort };
      const script = installerScript(files, { machine: name, mac, fingerprint, token, boot, ...facing });
      return { script, hasToken: true };
    } catch (error) {
      return plain(refusalScript((error as Error).message));
    }
  }
}
