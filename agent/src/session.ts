// One session: the stream that lives as long as the connection. It says hello, beats, carries progress and log lines up and
// instructions down. When it ends for whatever reason, the caller makes another.
import { type ClientDuplexStream, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import type { AgentServiceClient, Progress, SessionRequest, SessionResponse } from '@nixie/proto/agent';
import { jitteredMs } from './backoff.ts';
import type { SendReport } from './hardware-report.ts';
import type { Clock } from './host.ts';
import type { Identity, KeptCredential } from './identity.ts';
import type { Instructions } from './instructions.ts';
import type { LogQueue } from './log-queue.ts';

export interface SessionParts {
  readonly client: AgentServiceClient;
  readonly identity: Identity;
  readonly credential: KeptCredential;
  readonly address: string;
  readonly instructions: Instructions;
  readonly logs: LogQueue;
  readonly clock: Clock;
  readonly vitals: () => { uptimeMs: number; memoryAvailableBytes: number };
  /** The address that reached the controller is still ours. */
  readonly addressHolds: () => boolean;
  /** Hands over the function that sends progress; undefined when the session is over. */
  readonly carryProgress: (send: ((progress: Progress) => void) | undefined) => void;
  /** The same for what takes long to gather. */
  readonly carryHardware: (send: SendReport | undefined) => void;
  readonly signal: AbortSignal;
}

export interface SessionEnd {
  /**
   * `refused`: the credential is not, or no longer, good. `conflict`: the controller wants another session for this machine.
   * `moved`: our address changed. `lost`: anything that may be better in a moment.
   */
  readonly kind: 'refused' | 'conflict' | 'lost' | 'moved' | 'stopped';
  readonly why: string;
  readonly livedMs: number;
}

/** So many lines make a message at once; fewer wait for more. */
const gatherLines = 50;
const gatherMs = 200;

/** Resolves when the session is over; never rejects. */
export function holdSession(parts: SessionParts): Promise<SessionEnd> {
  const { client, identity, credential, clock, logs } = parts;
  const began = clock.ticks();
  return new Promise((resolve) => {
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${credential.credential}`);
    const stream: ClientDuplexStream<SessionRequest, SessionResponse> = client.session(metadata);
    const over = new AbortController();
    let blocked = false;
    let sequence = 0n;
    let heard = clock.ticks();
    let pumping: NodeJS.Immediate | undefined;
    let gathering: NodeJS.Timeout | undefined;

    const finish = (kind: SessionEnd['kind'], why: string): void => {
      if (over.signal.aborted) return;
      over.abort();
      logs.onWork(undefined);
      clearTimeout(gathering);
      clearImmediate(pumping);
      parts.signal.removeEventListener('abort', stop);
      parts.carryProgress(undefined);
      parts.carryHardware(undefined);
      stream.cancel();
      resolve({ kind, why, livedMs: clock.ticks() - began });
    };
    const stop = (): void => finish('stopped', 'the agent was asked to end');
    const send = (message: NonNullable<SessionRequest['message']>): void => {
      if (over.signal.aborted) return;
      if (!stream.write({ message })) blocked = true;
    };
    /** One batch a turn: whatever a machine says, its heartbeats and instructions have their turns between. */
    const pumpLogs = (): void => {
      clearTimeout(gathering);
      pumping = undefined;
      gathering = undefined;
      // The queue outside is bounded; what waits inside the stream would not be.
      const batch = blocked ? undefined : logs.take({ ticks: clock.ticks(), unixMs: clock.now() });
      if (batch === undefined) return;
      send({ $case: 'log', value: batch });
      if (logs.unsent > 0) pumping = setImmediate(pumpLogs);
    };
    /** Lines come in bursts: a moment's wait makes many of them one message. */
    const pumpSoon = (): void => {
      if (over.signal.aborted || logs.unsent === 0) return;
      if (logs.unsent >= gatherLines) pumping ??= setImmediate(pumpLogs);
      else gathering ??= setTimeout(pumpLogs, gatherMs);
    };

    stream.on('error', (error: ServiceError) => {
      const why = `${status[error.code] ?? error.code}: ${error.details}`;
      if (error.code === status.UNAUTHENTICATED) finish('refused', why);
      else finish(error.code === status.PERMISSION_DENIED ? 'conflict' : 'lost', why);
    });
    stream.on('end', () => finish('lost', 'the controller ended the session'));
    stream.on('drain', () => {
      blocked = false;
      pumpSoon();
    });
    stream.on('data', (response: SessionResponse) => {
      heard = clock.ticks();
      if (response.message?.$case === 'log') {
        logs.acknowledge(response.message.value.stream, response.message.value.next);
        pumpSoon();
      }
      if (response.message?.$case !== 'instruction') return;
      parts.instructions
        .run(response.message.value)
        .then((result) => send({ $case: 'result', value: result }))
        .catch(() => {});
    });
    if (parts.signal.aborted) return stop();
    parts.signal.addEventListener('abort', stop, { once: true });

    const unixMs = clock.now();
    send({
      $case: 'hello',
      value: {
        bootId: identity.bootId,
        address: parts.address,
        unixMs: BigInt(unixMs),
        signature: identity.sign(credential.credential, unixMs),
      },
    });
    parts.carryProgress((progress) => {
      // Progress is a picture of now: when the line is full, the next one tells the same and more.
      if (!blocked) send({ $case: 'progress', value: progress });
    });
    parts.carryHardware((report) => {
      if (blocked) return false;
      send({ $case: 'hardware', value: report });
      return true;
    });
    logs.rewind();
    logs.onWork(pumpSoon);
    pumpLogs();
    const beat = async (): Promise<void> => {
      const periodMs = Math.min(60_000, Math.max(200, credential.heartbeatMs || 5000));
      while (!over.signal.aborted) {
        const { uptimeMs, memoryAvailableBytes } = parts.vitals();
        sequence += 1n;
        send({
          $case: 'heartbeat',
          value: { sequence, uptimeMs: BigInt(uptimeMs), memoryAvailableBytes: BigInt(memoryAvailableBytes) },
        });
        await clock.sleep(jitteredMs(periodMs, clock.random()), over.signal);
        if (!parts.addressHolds()) finish('moved', `address ${parts.address} is no longer ours`);
        else if (clock.ticks() - heard > Math.max(15_000, 4 * periodMs))
          finish('lost', 'the controller does not answer');
      }
    };
    beat().catch((error: unknown) => finish('lost', String(error)));
  });
}
