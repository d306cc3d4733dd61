// What agents say, on its way to those who decide and remember.
import type { Inventory } from '@nixie/proto/inventory';
import type { Admission } from './core/admission.ts';
import { iso } from './core/core.ts';
import type { Heard } from './core/heard.ts';
import { LogIntake } from './core/log-intake.ts';
import type { NewLine } from './core/run-log.ts';
import type { Warnings } from './core/warnings.ts';
import type { AgentCore } from './listen/agents.ts';
import { TokenBucket } from './listen/token-bucket.ts';
import { failingDisks } from './machine/disk-health.ts';
import { installSteps, type RunEvent } from './machine/event.ts';
import type { Origin } from './machine/host-line.ts';
import type { Stage } from './machine/stage.ts';
import type { HardwareShelf } from './store/hardware.ts';
import type { Registrations } from './store/registrations.ts';

/** Four kinds, told again in each session. */
const reportsAtOnce = 24;
const reportsPerSecond = 0.2;

export interface AgentDeskWorld {
  readonly admission: Pick<Admission, 'register' | 'credential' | 'session'>;
  readonly registrations: Pick<Registrations, 'get'>;
  readonly heard: Heard;
  /** Of each host, the newest. */
  readonly inventories: Map<string, Inventory>;
  readonly hardware: Pick<HardwareShelf, 'put'>;
  readonly warnings: Warnings;
  /** A sign of life came from its agent. */
  readonly heardOf: (host: string) => void;
  readonly stageOf: (host: string) => Stage | undefined;
  /** What it sent is kept and told. */
  readonly said: (host: string, lines: readonly NewLine[]) => void;
  /** Resolves when more lines can be taken. */
  readonly room: () => Promise<void>;
  readonly emit: (event: RunEvent) => void;
  /** Milliseconds of the wall clock. */
  readonly now: () => number;
}

export function makeAgentDesk(world: AgentDeskWorld): AgentCore {
  const { admission, registrations, heard, inventories, warnings, emit, now } = world;
  const intake = new LogIntake();
  /** Of each host: a report costs time and a write to our disk. */
  const reports = new Map<string, TokenBucket>();
  return {
    onRegister(request, place) {
      const answer = admission.register(request, place);
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
    onHeartbeat(host) {
      heard.beat(host);
      world.heardOf(host);
    },
    onProgress(host, { doneBytes, step, stage }) {
      const at = iso(now());
      const known = installSteps.find((each) => each === step);
      const stageNow = world.stageOf(host);
      if (stageNow === undefined) return;
      if (known !== undefined) emit({ event: 'progress', at, host, stage: stageNow, step: known });
      else if (stage === 'copy' && stageNow === 'copy')
        emit({ event: 'progress', at, host, stage: stageNow, landed_bytes: Number(doneBytes) });
    },
    onHardware(host, report) {
      const bucket = reports.get(host) ?? new TokenBucket(reportsAtOnce, reportsPerSecond);
      reports.set(host, bucket);
      try {
        if (!bucket.take(now())) throw new Error('it reports more often than anybody needs');
        world.hardware.put(host, report);
        if (report.content?.$case === 'inventory')
          for (const text of failingDisks(report.content.value)) warnings.warn(text, host);
      } catch (error) {
        const kind = report.content?.$case ?? 'of a kind that is not known';
        warnings.warn(`hardware report (${kind}) was not kept: ${(error as Error).message}`, host);
      }
    },
    async onLog(host, batch) {
      const { lines, lost, next } = intake.take(host, batch, now());
      const said = lines.map((line) => ({ ...line, origin: originOf(line.source) }));
      const missing = { origin: 'agent', source: 'agent', text: `${lost.toLocaleString('en')} lines dropped` } as const;
      world.said(host, lost > 0 ? [missing, ...said] : said);
      await world.room();
      return next;
    },
    onOdd: (peer, what) =>
      warnings.warn(`an agent at ${peer}: ${what}`, undefined, `${peer.replace(/:\d+$/, '')} ${what}`),
  };
}

function originOf(source: string): Origin {
  return source === 'kernel' || source === 'agent' ? source : 'journal';
}
