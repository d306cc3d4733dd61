// What agents say, on its way to those who decide and remember.
import type { Inventory } from '@nixie/proto/inventory';
import type { Admission } from './core/admission.ts';
import { iso } from './core/core.ts';
import type { Heard } from './core/heard.ts';
import type { Warnings } from './core/warnings.ts';
import type { AgentCore } from './listen/agents.ts';
import type { RunEvent } from './machine/event.ts';
import type { Registrations } from './store/registrations.ts';

export interface AgentDeskWorld {
  readonly admission: Pick<Admission, 'register' | 'credential' | 'session'>;
  readonly registrations: Pick<Registrations, 'get'>;
  readonly heard: Heard;
  /** Of each host, the newest. */
  readonly inventories: Map<string, Inventory>;
  readonly warnings: Warnings;
  readonly emit: (event: RunEvent) => void;
  /** Milliseconds of the wall clock. */
  readonly now: () => number;
}

export function makeAgentDesk(world: AgentDeskWorld): AgentCore {
  const { admission, registrations, heard, inventories, warnings, emit, now } = world;
  return {
    onRegister(request, peer) {
      const answer = admission.register(request, peer);
      if (!('refused' in answer) && request.inventory !== undefined) inventories.set(answer.host, request.inventory);
      return answer;
    },
    readCredential: (text) => admission.credential(text),
    onSessionUp(host, about) {
      const kept = registrations.get(host);
      if (!inventories.has(host) && kept !== undefined) inventories.set(host, kept.inventory);
      const refusal = admission.session(host, about);
      if (refusal === undefined) heard.up(host, about.bootId);
      return refusal;
    },
    onSessionDown(host, why) {
      heard.down(host);
      emit({ event: 'log', at: iso(now()), host, source: 'session', text: `ended: ${why}` });
    },
    onHeartbeat: (host) => heard.beat(host),
    onProgress: () => {},
    onLog(host, lines, dropped) {
      for (const { source, text } of lines) emit({ event: 'log', at: iso(now()), host, source, text });
      if (dropped > 0)
        emit({ event: 'log', at: iso(now()), host, source: 'agent', text: `${dropped} lines were lost` });
    },
    onOdd: (peer, what) =>
      warnings.warn(`an agent at ${peer}: ${what}`, undefined, `${peer.replace(/:\d+$/, '')} ${what}`),
  };
}
