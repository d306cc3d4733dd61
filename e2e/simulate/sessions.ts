// The sessions of agents with one life of the controller, as its front door for agents keeps them: a newer one takes over, and instructions find
// their way over reconnects.
import type { Instruction, InstructionResult } from '@nixie/proto/agent';
import { Instructor } from '../../controller/src/listen/instructor.ts';
import type { Place } from '../../controller/src/machine/relay.ts';

export interface Session {
  result(result: InstructionResult): void;
  lost(): void;
}

/** What an agent says and wants when it opens one. */
export interface Opening {
  readonly bootId: string;
  readonly place: Place;
  readonly address: string;
  readonly agentKey: Uint8Array;
  readonly instruct: (instruction: Instruction) => void;
  readonly over: () => void;
}

export class Sessions {
  given = 0;
  #count = 0;
  readonly #open = new Map<
    string,
    { number: number; bootId: string; over: () => void; send: (instruction: Instruction) => void }
  >();
  readonly #instructor: Instructor;

  constructor(newId: () => string, after: (milliseconds: number, call: () => void) => () => void) {
    this.#instructor = new Instructor(newId, undefined, after);
  }

  has(host: string, bootId?: string): boolean {
    const session = this.#open.get(host);
    return session !== undefined && (bootId === undefined || session.bootId === bootId);
  }

  /** Counts up, as the real ones do. */
  number(host: string): number | undefined {
    return this.#open.get(host)?.number;
  }

  begin(host: string, opening: Opening): Session {
    this.#open.get(host)?.over();
    const session = { number: ++this.#count, bootId: opening.bootId, over: opening.over, send: opening.instruct };
    this.#open.set(host, session);
    this.#instructor.resend(host, session);
    return {
      result: (result) => {
        if (this.#open.get(host) === session) this.#instructor.answered(host, result);
      },
      lost: () => {
        opening.over();
        if (this.#open.get(host) === session) this.#open.delete(host);
      },
    };
  }

  instruct(host: string, action: NonNullable<Instruction['action']>, deadlineMs: number): Promise<InstructionResult> {
    this.given++;
    return this.#instructor.instruct(host, action, deadlineMs, this.#open.get(host));
  }

  endAll(): void {
    for (const session of this.#open.values()) session.over();
    this.#open.clear();
  }
}
