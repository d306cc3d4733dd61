// Doing what the controller says, each instruction once: a repeated id gets the same answer again.

import type { Instruction, InstructionResult, LinkDisk, UseCache } from '@nixie/proto/agent';
import type { Inventory } from '@nixie/proto/inventory';

/** What an instruction may set in motion. Each throws to report failure. */
export interface Hands {
  inspect(): Promise<Inventory>;
  resetDisks(): Promise<void>;
  /** Makes /dev/nixie/disk lead to this disk. */
  linkDisk(wanted: LinkDisk): Promise<void>;
  abort(): Promise<void>;
  /** Replaces the controller's lines in root's authorized_keys. */
  authorize(lines: readonly string[]): void;
  /** Names a binary cache to nix on the machine. */
  useCache(cache: UseCache): void;
  /** Takes effect after the answer had time to leave. */
  power(action: 'reboot' | 'poweroff', delayMs: number): void;
}

export class Instructions {
  readonly #hands: Hands;
  readonly #most: number;
  readonly #done = new Map<string, Promise<InstructionResult>>();

  /** @param most results remembered; beyond it the oldest is forgotten */
  constructor(hands: Hands, most = 256) {
    this.#hands = hands;
    this.#most = most;
  }

  /** Never rejects. */
  run(instruction: Instruction): Promise<InstructionResult> {
    const known = this.#done.get(instruction.id);
    if (known) return known;
    const result = this.#act(instruction).then(
      (inventory): InstructionResult => ({ id: instruction.id, ok: true, error: '', inventory }),
      (error: unknown): InstructionResult => ({
        id: instruction.id,
        ok: false,
        error: (error instanceof Error ? error.message : String(error)).slice(0, 4096),
        inventory: undefined,
      }),
    );
    this.#done.set(instruction.id, result);
    if (this.#done.size > this.#most) {
      for (const oldest of this.#done.keys()) {
        this.#done.delete(oldest);
        break;
      }
    }
    return result;
  }

  async #act({ action }: Instruction): Promise<Inventory | undefined> {
    switch (action?.$case) {
      case 'inspect':
        return this.#hands.inspect();
      case 'resetDisks':
        await this.#hands.resetDisks();
        return undefined;
      case 'linkDisk':
        await this.#hands.linkDisk(action.value);
        return undefined;
      case 'abort':
        await this.#hands.abort();
        return undefined;
      case 'authorize':
        this.#hands.authorize(action.value.authorizedKeys);
        return undefined;
      case 'useCache':
        this.#hands.useCache(action.value);
        return undefined;
      case 'reboot':
        this.#hands.power('reboot', action.value.delayMs);
        return undefined;
      case 'powerOff':
        this.#hands.power('poweroff', action.value.delayMs);
        return undefined;
      default:
        throw new Error('this agent does not know that instruction; its image is older than the controller');
    }
  }
}
