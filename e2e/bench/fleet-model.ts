// A fleet that boots, in virtual time: the tracker's and the fetcher's own policies over a model of the wire. Every machine and the controller have a
// link of some rate both ways; transfers that share a link share it equally; the switch between them blocks nothing. What the model leaves out:
// processor time, TCP's slow start, and the bytes of announcements.
import { type Ask, Choice, type ChoiceLimits } from '../../agent/src/fleet/choice.ts';
import { Swarm, type SwarmLimits } from '../../controller/src/machine/swarm.ts';
import { ChunkSet, chunkPlace, chunksOf } from '../../proto/fleet.ts';
import { Random } from '../simulate/random.ts';

export interface FleetCase {
  readonly machines: number;
  readonly imageBytes: number;
  /** Sent to each machine by the controller, before anything else. */
  readonly bootBytes: number;
  /** Bytes a second. */
  readonly uplink: number;
  readonly machineLink: number;
  readonly seed?: number;
  /** Seconds from the last byte of the boot stage to the first request. */
  readonly startSeconds?: number;
  /** The end of the image, which a boot stage without the agent gets first, by fetch-first; and seconds from its last byte to the agent's first request. */
  readonly firstBytes?: number;
  readonly unpackSeconds?: number;
  /** Machines come up within so many seconds. */
  readonly within?: number;
  /** Share of machines with a tenth of the link, of ones that send nothing but wrong chunks, and of ones that vanish in the middle. */
  readonly slow?: number;
  readonly liars?: number;
  readonly vanish?: number;
  /** The tracker answers nobody. */
  readonly deaf?: boolean;
  readonly swarm?: Partial<SwarmLimits>;
  readonly choice?: Partial<ChoiceLimits>;
}

export interface FleetOutcome {
  /** From the first machine's start to the last one's whole image, seconds. */
  readonly lastSeconds: number;
  readonly firstSeconds: number;
  /** By the controller, images and boot stages. */
  readonly originImageBytes: number;
  readonly originBootBytes: number;
  readonly complete: number;
  readonly announcements: number;
  /** Requests that a peer was too busy for. */
  readonly busy: number;
}

/** Of the machine that serves. */
const uploadsAtOnce = 4;
/** A request's way there, and a little work on both sides, milliseconds. */
const askMs = 1.5;
/** The boot stage's script starts some processes for each word with the tracker and for each chunk, milliseconds; and gives up a chunk. */
const scriptMs = 30;
const scriptGivesUpMs = 20_000;
const scriptAsks = 4;

interface Station {
  readonly up: number;
  readonly down: number;
  readonly sends: Set<Flow>;
  readonly receives: Set<Flow>;
}

interface Flow {
  readonly from: Station;
  readonly to: Station;
  readonly done: () => void;
  left: number;
  rate: number;
  at: number;
  version: number;
}

/** What is due at a time, in the order of times. */
class Due {
  readonly #heap: { at: number; number: number; call: () => void }[] = [];
  #number = 0;
  now = 0;

  at(at: number, call: () => void): void {
    const heap = this.#heap;
    const entry = { at, number: this.#number++, call };
    let place = heap.push(entry) - 1;
    while (place > 0) {
      const above = (place - 1) >> 1;
      if (this.#before(heap[above]!, entry)) break;
      heap[place] = heap[above]!;
      place = above;
    }
    heap[place] = entry;
  }

  #before(a: { at: number; number: number }, b: { at: number; number: number }): boolean {
    return a.at < b.at || (a.at === b.at && a.number < b.number);
  }

  run(over: () => boolean): void {
    const heap = this.#heap;
    while (!over()) {
      const first = heap[0];
      const last = heap.pop();
      if (first === undefined || last === undefined) return;
      if (heap.length > 0) {
        let place = 0;
        for (;;) {
          let below = 2 * place + 1;
          if (below >= heap.length) break;
          if (below + 1 < heap.length && this.#before(heap[below + 1]!, heap[below]!)) below++;
          if (this.#before(last, heap[below]!)) break;
          heap[place] = heap[below]!;
          place = below;
        }
        heap[place] = last;
      }
      this.now = first.at;
      first.call();
    }
  }
}

class Wire {
  readonly due: Due;

  constructor(due: Due) {
    this.due = due;
  }

  send(from: Station, to: Station, bytes: number, done: () => void): Flow {
    const flow: Flow = { from, to, done, left: bytes, rate: 0, at: this.due.now, version: 0 };
    from.sends.add(flow);
    to.receives.add(flow);
    this.#shareAgain(flow);
    return flow;
  }

  cut(flow: Flow): void {
    if (!flow.from.sends.delete(flow)) return;
    flow.to.receives.delete(flow);
    flow.version = -1;
    this.#shareAgain(flow);
  }

  /** All that share a link with it. */
  #shareAgain({ from, to }: Flow): void {
    for (const flow of from.sends) this.#rate(flow);
    for (const flow of to.receives) if (flow.from !== from) this.#rate(flow);
  }

  #rate(flow: Flow): void {
    const { now } = this.due;
    const rate = Math.min(flow.from.up / flow.from.sends.size, flow.to.down / flow.to.receives.size) / 1000;
    if (rate === flow.rate) return;
    flow.left -= (now - flow.at) * flow.rate;
    flow.at = now;
    flow.rate = rate;
    const version = ++flow.version;
    this.due.at(now + Math.max(0, flow.left) / rate, () => {
      if (flow.version !== version) return;
      this.cut(flow);
      flow.done();
    });
  }
}

interface Machine extends Station {
  readonly address: string;
  choice: Choice | undefined;
  /** Of the boot stage, while it serves: what it has. */
  stage: ChunkSet | undefined;
  lies: boolean;
  gone: boolean;
  announceAt: number;
  announcing: boolean;
  doneAt: number | undefined;
  readonly asks: Map<Ask, Flow | undefined>;
}

export function simulateFleet(given: FleetCase): FleetOutcome {
  const { machines: count, imageBytes, bootBytes, uplink, machineLink } = given;
  const random = new Random(`fleet ${given.seed ?? 1} ${count}`);
  const next = () => random.next();
  const due = new Due();
  const wire = new Wire(due);
  const chunks = chunksOf(imageBytes);
  const swarm = new Swarm(chunks, next, given.swarm);
  const origin: Station = { up: uplink, down: uplink, sends: new Set(), receives: new Set() };
  const machines = Array.from({ length: count }, (_, i): Machine => {
    const link = random.chance(given.slow ?? 0) ? machineLink / 10 : machineLink;
    return {
      address: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`,
      up: link,
      down: link,
      sends: new Set(),
      receives: new Set(),
      choice: undefined,
      stage: undefined,
      lies: random.chance(given.liars ?? 0),
      gone: false,
      announceAt: 0,
      announcing: false,
      doneAt: undefined,
      asks: new Map(),
    };
  });
  const byAddress = new Map(machines.map((machine) => [machine.address, machine]));
  const told = { image: 0, boot: 0, announcements: 0, busy: 0 };
  let left = count;

  const pump = (machine: Machine): void => {
    const { choice } = machine;
    if (choice === undefined || machine.gone) return;
    for (let ask = choice.next(due.now); ask !== undefined; ask = choice.next(due.now)) start(machine, choice, ask);
  };

  const start = (machine: Machine, choice: Choice, ask: Ask): void => {
    const { bytes } = chunkPlace({ bytes: imageBytes }, ask.chunk);
    machine.asks.set(ask, undefined);
    const fail = (why: 'busy' | 'refused' | 'gone' | 'slow' | 'wrong'): void => {
      const flow = machine.asks.get(ask);
      if (!machine.asks.delete(ask)) return;
      if (flow !== undefined) wire.cut(flow);
      if (why === 'busy') told.busy += 1;
      choice.failed(ask, why, due.now);
      // It may be asked again in a moment, and nothing else would wake us.
      if (why === 'busy') due.at(due.now + 40, () => pump(machine));
      pump(machine);
    };
    due.at(due.now + askMs, () => {
      if (machine.gone) return;
      const from = ask.from.kind === 'door' ? undefined : byAddress.get(ask.from.address);
      if (from?.gone === true) {
        due.at(due.now + 1500, () => fail('gone'));
        return;
      }
      if (from !== undefined && from.sends.size >= uploadsAtOnce) return fail('busy');
      if (from !== undefined && (from.choice?.have ?? from.stage)?.has(ask.chunk) !== true) return fail('refused');
      const flow = wire.send(from ?? origin, machine, bytes, () => {
        if (!machine.asks.delete(ask)) return;
        if (from === undefined) told.image += bytes;
        if (from?.lies === true) {
          choice.failed(ask, 'wrong', due.now);
          return pump(machine);
        }
        choice.got(ask, due.now);
        if (from?.choice !== undefined) choice.told(from.address, 1, copyOf(from.choice.have));
        // Whoever else was asked for it is told to stop.
        for (const [other, its] of [...machine.asks]) {
          if (other.chunk !== ask.chunk) continue;
          machine.asks.delete(other);
          if (its !== undefined) wire.cut(its);
          choice.failed(other, 'called-off', due.now);
        }
        if (choice.have.complete && machine.doneAt === undefined) {
          machine.doneAt = due.now;
          left -= 1;
        }
        if (ask.from.kind === 'door' || choice.have.complete) announce(machine);
        pump(machine);
      });
      machine.asks.set(ask, flow);
      due.at(due.now + choice.patienceMs, () => fail('slow'));
    });
  };

  const announce = (machine: Machine): void => {
    const { choice } = machine;
    if (choice === undefined || machine.announcing || machine.gone) return;
    machine.announcing = true;
    due.at(due.now + askMs, () => {
      machine.announcing = false;
      if (machine.gone) return;
      told.announcements += 1;
      const announcement = { have: copyOf(choice.have), port: 1, ...choice.report(due.now) };
      const guidance = given.deaf === true ? undefined : swarm.announce(machine.address, announcement, due.now);
      if (guidance === undefined) choice.unheard();
      else choice.guided(guidance);
      const at = due.now + (guidance?.againMs ?? 1000);
      machine.announceAt = at;
      due.at(at, () => {
        if (machine.announceAt === at) announce(machine);
      });
      pump(machine);
    });
  };

  const agent = (machine: Machine, have: ChunkSet): void => {
    machine.choice = new Choice(have, next, due.now, given.choice);
    announce(machine);
    if (random.chance(given.vanish ?? 0))
      due.at(due.now + next() * 2000 * (imageBytes / uplink), () => {
        if (machine.doneAt === undefined) left -= 1;
        machine.gone = true;
        for (const flow of [...machine.sends, ...machine.receives]) wire.cut(flow);
      });
  };

  const firstBytes = given.firstBytes ?? 0;
  const first = firstBytes === 0 ? chunks : chunksOf(imageBytes) - chunksOf(firstBytes);
  /** What installer-nix/stage/fetch-first does: it asks whom to ask, asks all of them, waits for all, and begins again. */
  const script = (machine: Machine, have: ChunkSet, liars: Set<string>): void => {
    machine.stage = have;
    due.at(due.now + askMs + scriptMs, () => {
      told.announcements += 1;
      const known = Array.from({ length: chunks - first }, (_, i) => first + i).filter((chunk) => have.has(chunk));
      const said = { first, last: chunks - 1, have: known, port: 1, wants: scriptAsks, stuck: false, not: [...liars] };
      const guidance = given.deaf === true ? undefined : swarm.stage(machine.address, said, due.now);
      const lacking = Array.from({ length: chunks - first }, (_, i) => first + i).filter((chunk) => !have.has(chunk));
      const asks = guidance?.asks ?? lacking.slice(0, scriptAsks).map((chunk) => ({ chunk, from: 'door' as const }));
      let open = asks.length;
      if (open === 0) return due.at(due.now + (guidance?.againMs ?? 500), () => script(machine, have, liars));
      const ended = (): void => {
        open -= 1;
        if (open > 0) return;
        if (lacking.some((chunk) => !have.has(chunk))) {
          script(machine, have, liars);
          return;
        }
        machine.stage = undefined;
        due.at(due.now + 1000 * (given.unpackSeconds ?? 0) * (0.9 + 0.2 * next()), () => agent(machine, have));
      };
      for (const { chunk, from: source } of asks) {
        const from = source === 'door' ? undefined : byAddress.get(source.address);
        const { bytes } = chunkPlace({ bytes: imageBytes }, chunk);
        due.at(due.now + askMs + scriptMs, () => {
          if (from?.gone === true) {
            liars.add(from.address);
            return void due.at(due.now + scriptGivesUpMs, ended);
          }
          const busy = from?.choice !== undefined && from.sends.size >= uploadsAtOnce;
          if (busy) told.busy += 1;
          if (busy || (from !== undefined && (from.choice?.have ?? from.stage)?.has(chunk) !== true)) return ended();
          let over = false;
          const flow = wire.send(from ?? origin, machine, bytes, () => {
            if (over) return;
            over = true;
            if (from === undefined) told.image += bytes;
            if (from?.lies === true) liars.add(from.address);
            else have.add(chunk);
            ended();
          });
          due.at(due.now + scriptGivesUpMs, () => {
            if (over) return;
            over = true;
            wire.cut(flow);
            ended();
          });
        });
      }
    });
  };

  for (const machine of machines) {
    due.at(next() * (given.within ?? 0) * 1000, () => {
      const booted = () => {
        told.boot += bootBytes;
        due.at(due.now + (given.startSeconds ?? 0) * 1000 * (0.9 + 0.2 * next()), () => {
          if (firstBytes > 0) script(machine, new ChunkSet(chunks), new Set());
          else agent(machine, new ChunkSet(chunks));
        });
      };
      if (bootBytes > 0) wire.send(origin, machine, bootBytes, booted);
      else booted();
    });
  }
  const latest = 1000 * 100 * (((bootBytes + imageBytes) * count) / uplink);
  due.run(() => left === 0 || due.now > latest);
  const times = machines.flatMap(({ doneAt }) => (doneAt === undefined ? [] : [doneAt / 1000]));
  return {
    lastSeconds: Math.max(...times),
    firstSeconds: Math.min(...times),
    originImageBytes: told.image,
    originBootBytes: told.boot,
    complete: times.length,
    announcements: told.announcements,
    busy: told.busy,
  };
}

function copyOf(set: ChunkSet): ChunkSet {
  return ChunkSet.read(set.text(), set.size);
}

/** No way is quicker: the boot stage to each, each byte of the image once, and all of it over each machine's link. Seconds. */
export function bound(given: FleetCase): number {
  const { machines, imageBytes, bootBytes, uplink, machineLink } = given;
  const own = (bootBytes + imageBytes) / machineLink;
  return Math.max(own, (machines * bootBytes + imageBytes) / uplink) + idleSeconds(given);
}

/** Boot stage and image from the controller to each machine. Seconds. */
export function unicast(given: FleetCase): number {
  const { machines, imageBytes, bootBytes, uplink, machineLink } = given;
  return (bootBytes + imageBytes) * Math.max(1 / machineLink, machines / uplink) + idleSeconds(given);
}

function idleSeconds({ startSeconds = 0, unpackSeconds = 0 }: FleetCase): number {
  return startSeconds + unpackSeconds;
}
