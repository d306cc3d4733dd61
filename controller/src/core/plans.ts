// What each host is to run, and whether it is built: known from its evaluation on, waited for before its disks are touched.
import type { BuiltPlan, Plan } from './task-world.ts';

export interface PlansWorld {
  /** It begins to wait for its build, which is no fault of its own; the result is called when that is over. */
  waits(host: string): () => void;
}

export class Plans {
  readonly #world: PlansWorld;
  readonly #plans = new Map<string, Plan>();
  readonly #failed = new Set<string>();
  /** Calls that end the waits of each host. */
  readonly #waiting = new Map<string, Set<() => void>>();

  constructor(world: PlansWorld) {
    this.#world = world;
  }

  get(host: string): Plan | undefined {
    return this.#plans.get(host);
  }

  /** @param plan a built one, too: then nobody waits for it any more */
  put(plan: Plan | BuiltPlan): void {
    const { name } = plan.host;
    this.#plans.set(name, plan);
    this.#failed.delete(name);
    if (plan.closure !== undefined) this.#release(name);
  }

  /** It can't be built. Who waits for it is told so by the caller, as the host's end. */
  fail(host: string): void {
    if (!this.#plans.has(host)) return;
    this.#failed.add(host);
    this.#release(host);
  }

  failed(host: string): boolean {
    return this.#failed.has(host);
  }

  /** It may be installed, now or as soon as it is built. */
  hopes(host: string): boolean {
    return this.#plans.has(host) && !this.#failed.has(host);
  }

  delete(host: string): void {
    this.#plans.delete(host);
    this.#failed.delete(host);
    this.#release(host);
  }

  built(): BuiltPlan[] {
    return [...this.#plans.values()].filter((plan): plan is BuiltPlan => plan.closure !== undefined);
  }

  /** Its machine is there and waits for it. */
  waits(host: string): boolean {
    return this.#waiting.has(host);
  }

  /** Resolves when it is built, when it can't be, or at the signal. */
  async whenBuilt(host: string, signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.#plans.get(host)?.closure !== undefined || !this.hopes(host)) return;
    const waiting = this.#waiting.get(host) ?? new Set();
    this.#waiting.set(host, waiting);
    const over = Promise.withResolvers<void>();
    waiting.add(over.resolve);
    const release = this.#world.waits(host);
    signal.addEventListener('abort', () => over.resolve(), { once: true });
    await over.promise;
    waiting.delete(over.resolve);
    if (waiting.size === 0 && this.#waiting.get(host) === waiting) this.#waiting.delete(host);
    release();
  }

  #release(host: string): void {
    const waiting = this.#waiting.get(host) ?? [];
    this.#waiting.delete(host);
    for (const end of waiting) end();
  }
}
