// Others that register in a machine's name, with what they have read of its script.
import type { RegisterRequest } from '@nixie/proto/agent';
import type { FaultKind } from './faults.ts';
import type { Machine } from './machine.ts';
import type { Network } from './network.ts';
import type { Random } from './random.ts';

/** Of somebody who has no MAC of ours. */
const strange = '10.80.62.9:4000';

export class Impostors {
  readonly #machine: Machine;
  readonly #network: Network;
  readonly #request: RegisterRequest;

  /** @param request what the machine itself registers with */
  constructor(machine: Machine, network: Network, request: RegisterRequest) {
    this.#machine = machine;
    this.#network = network;
    this.#request = request;
  }

  before(): void {
    this.#tries('registration with a wrong MAC', { mac: '52:54:00:66:66:66' }, strange);
    const other = this.#network.machines.find((each) => each !== this.#machine)?.mac;
    if (other !== undefined) this.#tries('token of another machine', { mac: other }, strange);
  }

  /** The machine has registered. @param peer its address and port: who has its MAC can have them, too */
  after(random: Random, peer: string): void {
    const name = this.#machine.host.name;
    const { witness } = this.#network.lan;
    const stage = () => this.#network.controller?.core.life(name)?.stage;
    const other = () => ({ agentKey: Buffer.from(random.bytes(91)) });
    const before = stage();
    this.#tries('token replayed', other(), strange);
    witness.holds(stage() === before, name, 'somebody without its MAC stopped it');
    if (this.#tries('another machine claims its MAC', other(), peer))
      witness.holds(stage() === 'failed', name, 'two machines claim its MAC, and it goes on');
  }

  /** True when it came to pass. */
  #tries(kind: FaultKind, other: Partial<RegisterRequest>, peer: string): boolean {
    const { controller, lan } = this.#network;
    if (controller === undefined || !this.#machine.fate.strikes(kind)) return false;
    const answer = controller.register({ ...this.#request, ...other }, peer);
    lan.witness.holds('refused' in answer, this.#machine.host.name, `${kind}: the registration was believed`);
    return true;
  }
}
