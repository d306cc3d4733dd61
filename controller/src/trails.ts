// Everything that is seen of machines, on its way into their trails: what the front doors saw, stages, files that are sent, agents.
import { diagnose } from './doctor/diagnose.ts';
import type { Note, Trail } from './doctor/trail.ts';
import { TrailBook } from './doctor/trail-book.ts';
import type { AgentCore } from './listen/agents.ts';
import type { FileProgress } from './listen/http.ts';
import type { Seen } from './listen/seen.ts';
import type { RunEvent } from './machine/event.ts';
import { type Mac, parseMac } from './machine/mac.ts';
import { entryLine, runLine } from './store/trail-log.ts';

/** Which host has a MAC; behind a relay, or absent on our own networks. */
export interface HostOfMac {
  get(mac: Mac, relay?: string): string | undefined;
}

export interface TrailsWorld {
  readonly hostOfMac: HostOfMac;
  readonly journal: { write(entry: Record<string, unknown>): void };
  /** Milliseconds of the wall clock. */
  now(): number;
}

export class Trails {
  readonly #world: TrailsWorld;
  readonly #book: TrailBook;

  constructor(world: TrailsWorld) {
    this.#world = world;
    const { journal, now } = world;
    this.#book = new TrailBook({ now, keep: (host, entry) => journal.write(entryLine(host, entry)) });
    journal.write(runLine(now()));
  }

  /** Takes notes, and hands on. */
  follow(next: (seen: Seen) => void): (seen: Seen) => void {
    return (seen) => {
      this.seen(seen);
      next(seen);
    };
  }

  seen(seen: Seen): void {
    const { kind, mac, machine, interface: link } = seen;
    // Files of the installer are followed by their bytes.
    if (kind === 'http-file' && seen.detail?.startsWith('/loader/') !== true) return;
    const host = machine ?? (mac === undefined ? undefined : this.#world.hostOfMac.get(mac, seen.relay));
    if (host !== undefined) this.#book.note(host, noteOf(seen));
    else if (kind === 'dhcp-flood') this.#book.around({ kind });
    else if (mac !== undefined && bootsSomewhere(seen))
      this.#book.around({ kind, mac, ...(link === undefined ? {} : { interface: link }) });
  }

  /** Bytes of an installer file handed to the network. */
  file({ mac, file, sentBytes, totalBytes, ended }: FileProgress, relay?: string): void {
    const host = mac === undefined ? undefined : this.#world.hostOfMac.get(mac, relay);
    if (host === undefined) return;
    const kind = !ended ? 'file-sending' : sentBytes >= totalBytes ? 'file-sent' : 'file-cut';
    this.#book.note(host, { kind, detail: file.slice(file.lastIndexOf('/') + 1), done: sentBytes, total: totalBytes });
  }

  event(event: RunEvent): void {
    if (event.event !== 'stage') return;
    const { host, stage, reason, address } = event;
    this.#book.stage(host, stage, {
      ...(reason === undefined ? {} : { reason }),
      ...(address === undefined ? {} : { address }),
    });
  }

  /** Takes notes of what agents do, and hands on. */
  agents(core: AgentCore): AgentCore {
    return {
      ...core,
      onRegister: (request, place) => {
        const answer = core.onRegister(request, place);
        const mac = parseMac(request.mac);
        const host = 'refused' in answer ? mac && this.#world.hostOfMac.get(mac, place.relay) : answer.host;
        if (host === undefined) return answer;
        if ('refused' in answer)
          this.#book.note(host, {
            kind: 'agent-refused',
            why: answer.refused,
            detail: `${answer.why}, at ${place.address}`,
          });
        else this.#book.note(host, { kind: 'agent-registered' });
        return answer;
      },
      onSessionUp: (host, about) => {
        const refusal = core.onSessionUp(host, about);
        if (refusal === undefined) this.#book.note(host, { kind: 'agent-up' });
        else this.#book.note(host, { kind: 'agent-refused', why: refusal.refused, detail: refusal.why });
        return refusal;
      },
      onSessionDown: (host, why) => {
        this.#book.note(host, { kind: 'agent-down', detail: why });
        core.onSessionDown(host, why);
      },
    };
  }

  /** How things stand with the relay that it is behind. */
  relay(host: string, why: 'up' | 'away' | 'refused' | 'no-plan', detail: string): void {
    this.#book.note(host, { kind: 'relay', why, detail });
  }

  /** The binary cache was offered to it, and not used. */
  cacheUnused(host: string, detail: string): void {
    this.#book.note(host, { kind: 'cache-unused', detail });
  }

  /** Whether offers of other servers are heard on an interface. */
  listening(name: string, whyNot: string | undefined): void {
    const note = { kind: 'listening', interface: name, why: whyNot === undefined ? 'yes' : 'no' } as const;
    this.#book.around(whyNot === undefined ? note : { ...note, detail: whyNot });
  }

  /** Of a machine that has failed: what the doctor knows beyond its reason. */
  advice(host: string): string | undefined {
    const trail = this.of(host);
    const [first] = diagnose(trail, this.#world.now()).findings;
    if (first === undefined || first.says === trail.stages.at(-1)?.reason) return undefined;
    return `${first.says}; likely cause: ${first.cause}; try: ${first.advice}`;
  }

  forget(host: string): void {
    this.#book.forget(host);
  }

  of(host: string): Trail {
    return this.#book.of(host);
  }
}

/** Firmware of a machine that is in no hosts file; an operating system that renews its lease is nobody's concern. */
function bootsSomewhere({ client }: Seen): boolean {
  return client === 'pxe' || client === 'http' || client === 'ipxe' || client === 'small-ipxe';
}

const carried = [
  'why',
  'interface',
  'giaddr',
  'asked',
  'client',
  'port',
  'server',
  'done',
  'total',
  'blockSize',
  'again',
] as const;

function noteOf(seen: Seen): Note {
  const fields = carried.flatMap((name) => (seen[name] === undefined ? [] : [[name, seen[name]]]));
  const detail = detailOf(seen);
  return { kind: seen.kind, ...Object.fromEntries(fields), ...(detail === undefined ? {} : { detail }) };
}

/** What differs each time, such as a rate, would keep equal notes apart. */
function detailOf({ kind, detail, address }: Seen): string | undefined {
  if (kind === 'tftp-sent') return detail?.split(':')[0];
  return kind === 'http-refused' && address !== undefined ? `${detail ?? ''} from ${address}` : detail;
}
