// What the view knows of a run: RunEvents folded into one object. Pure; times in it are milliseconds.
import type { RunEvent } from '../machine/event.ts';
import { isEnd, type Stage } from '../machine/stage.ts';
import { disksWords } from './plain-lines.ts';
import { clean } from './text.ts';

export interface HostView {
  readonly name: string;
  readonly stage: Stage;
  /** When this stage began. */
  readonly since: number;
  /** When it left `planned`; absent before. */
  readonly started?: number;
  readonly address?: string;
  readonly reason?: string;
  /** Of this stage. */
  readonly progress?: Extract<RunEvent, { event: 'progress' }>;
  /** What was last seen or said of it in this stage. */
  readonly detail?: string;
  readonly result?: Extract<RunEvent, { event: 'result' }>;
}

export interface ViewState {
  /** When the run began. */
  readonly began: number;
  /** In the order of the hosts file. */
  readonly hosts: ReadonlyMap<string, HostView>;
  /** Evaluating and building; absent when that is over. */
  readonly prepare?: { readonly text: string; readonly done?: number; readonly total?: number; readonly since: number };
  readonly end?: Extract<RunEvent, { event: 'end' }>;
}

export function newView(hosts: readonly string[], began: number): ViewState {
  return { began, hosts: new Map(hosts.map((name) => [name, { name, stage: 'planned', since: began }])) };
}

/** The state after an event. Gives the same object back when nothing that is shown has changed. */
export function see(state: ViewState, event: RunEvent): ViewState {
  const at = Date.parse(event.at);
  const change = (name: string, make: (before: HostView) => HostView): ViewState => {
    const before = state.hosts.get(name) ?? { name: clean(name, 64), stage: 'planned', since: at };
    return { ...state, hosts: new Map(state.hosts).set(name, make(before)) };
  };
  switch (event.event) {
    case 'stage':
      return change(event.host, (before) => {
        const { progress: _progress, detail: _detail, reason: _reason, ...rest } = before;
        const started = before.started ?? (event.stage === 'planned' ? undefined : at);
        return {
          ...(event.stage === before.stage ? before : rest),
          stage: event.stage,
          since: event.stage === before.stage ? before.since : at,
          ...(started !== undefined && { started }),
          ...(event.reason !== undefined && { reason: clean(event.reason) }),
          ...(event.address !== undefined && { address: clean(event.address, 64) }),
        };
      });
    case 'progress':
      return change(event.host, (before) => ({
        ...before,
        progress: event,
      }));
    case 'seen':
    case 'log': {
      const host = event.host === undefined ? undefined : state.hosts.get(event.host);
      const text = clean(
        event.event === 'log' ? event.text : [event.kind, event.detail].filter(Boolean).join(': '),
        300,
      );
      if (host === undefined || isEnd(host.stage) || text === '' || host.detail === text) return state;
      return change(host.name, (before) => ({ ...before, detail: text }));
    }
    case 'disks':
      return change(event.host, (before) => ({ ...before, detail: clean(disksWords(event), 300) }));
    case 'prepare':
      if (event.over === true) return withoutPrepare(state);
      return {
        ...state,
        prepare: {
          text: clean(event.text, 300),
          ...(event.done !== undefined && { done: event.done }),
          ...(event.total !== undefined && { total: event.total }),
          since: state.prepare?.since ?? at,
        },
      };
    case 'result':
      return change(event.host, (before) => ({
        ...before,
        stage: event.result,
        since: before.stage === event.result ? before.since : at,
        ...(event.reason !== undefined && { reason: clean(event.reason) }),
        ...(event.address !== undefined && { address: clean(event.address, 64) }),
        result: event,
      }));
    case 'end':
      return { ...withoutPrepare(state), end: event };
    case 'notice': {
      const host = event.host === undefined ? undefined : state.hosts.get(event.host);
      if (event.level !== 'info' || host === undefined || isEnd(host.stage)) return state;
      return change(host.name, (before) => ({ ...before, detail: clean(event.text, 300) }));
    }
  }
}

function withoutPrepare(state: ViewState): ViewState {
  const { prepare: _over, ...rest } = state;
  return state.prepare === undefined ? state : rest;
}

/** `2 proved, 1 failed, 3 in work`: ends in the order of their first appearance in the hosts file. */
export function counts(state: ViewState): string {
  const found = new Map<string, number>();
  let inWork = 0;
  for (const { stage } of state.hosts.values()) {
    if (isEnd(stage)) found.set(stage, (found.get(stage) ?? 0) + 1);
    else inWork += 1;
  }
  const parts = [...found].map(([stage, count]) => `${count} ${stage}`);
  if (inWork > 0) parts.push(`${inWork} in work`);
  return parts.join(', ');
}
