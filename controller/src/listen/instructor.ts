// Instructions under way to machines: given again after a reconnect under the same id, and each with an end.
import type { Instruction, InstructionResult } from '@nixie/proto/agent';
import { after as realAfter } from '../clock.ts';

export class InstructionError extends Error {
  override name = 'InstructionError';
}

/** The way down into one session of a machine. */
export interface Down {
  readonly bootId: string;
  send(instruction: Instruction): void;
}

interface Pending {
  readonly host: string;
  /** The boot it was given to; undefined while the machine has no session. */
  bootId: string | undefined;
  readonly instruction: Instruction;
  readonly settle: (outcome: InstructionResult | InstructionError) => void;
}

export class Instructor {
  readonly #pending = new Map<string, Pending>();
  readonly #newId: () => string;
  readonly #mostPerHost: number;
  readonly #after: (milliseconds: number, call: () => void) => () => void;

  /** @param after calls back once; its result calls that off */
  constructor(newId: () => string, mostPerHost = 16, after = realAfter) {
    this.#newId = newId;
    this.#mostPerHost = mostPerHost;
    this.#after = after;
  }

  /** @param down the machine's session; undefined when it has none now */
  instruct(
    host: string,
    action: NonNullable<Instruction['action']>,
    timeoutMs: number,
    down: Down | undefined,
  ): Promise<InstructionResult> {
    const waiting = [...this.#pending.values()].filter((pending) => pending.host === host).length;
    if (waiting >= this.#mostPerHost)
      return Promise.reject(new InstructionError(`instruct ${host}: ${waiting} instructions are waiting already`));
    const instruction: Instruction = { id: this.#newId(), action };
    return new Promise((resolve, reject) => {
      const settle = (outcome: InstructionResult | InstructionError): void => {
        late();
        this.#pending.delete(instruction.id);
        if (outcome instanceof InstructionError) reject(outcome);
        else resolve(outcome);
      };
      const late = this.#after(timeoutMs, () =>
        settle(new InstructionError(`instruct ${host}: ${action.$case}: no answer within ${timeoutMs} ms`)),
      );
      this.#pending.set(instruction.id, { host, bootId: down?.bootId, instruction, settle });
      down?.send(instruction);
    });
  }

  /**
   * A machine's session is up (again). What an earlier boot was told is not said to this one: a reboot, for example, would never end.
   */
  resend(host: string, down: Down): void {
    for (const pending of [...this.#pending.values()]) {
      if (pending.host !== host) continue;
      const { bootId, instruction, settle } = pending;
      if (bootId !== undefined && bootId !== down.bootId) {
        settle(
          new InstructionError(`instruct ${host}: ${instruction.action?.$case}: the machine was rebooted meanwhile`),
        );
        continue;
      }
      pending.bootId = down.bootId;
      down.send(instruction);
    }
  }

  /** An answer counts only when it comes from the machine that was asked. */
  answered(host: string, result: InstructionResult): void {
    const pending = this.#pending.get(result.id);
    if (pending?.host === host) pending.settle(result);
  }

  close(): void {
    for (const { host, instruction, settle } of [...this.#pending.values()])
      settle(new InstructionError(`instruct ${host}: ${instruction.action?.$case}: the controller is closing`));
  }
}
