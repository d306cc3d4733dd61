// The front door for agents: gRPC over TLS. It knows who is connected and nothing of what may happen to a machine; what an agent says
// becomes a call to the core, and what the core wants done goes down the machine's session.
import { randomUUID } from 'node:crypto';
import {
  type handleUnaryCall,
  logVerbosity,
  Server,
  type ServerDuplexStream,
  type ServiceError,
  setLogVerbosity,
  status,
} from '@grpc/grpc-js';
import {
  AgentServiceService,
  type HardwareReport,
  type Heartbeat,
  type Instruction,
  type InstructionResult,
  type LogBatch,
  type Progress,
  type RegisterRequest,
  type RegisterResponse,
  type SessionRequest,
  type SessionResponse,
} from '@nixie/proto/agent';
import { HostServiceService } from '@nixie/proto/host';
import { type Place, placeOf as placeOfPeer, placeText } from '../machine/relay.ts';
import type { Credential } from '../machine/token.ts';
import { AgentSession, type SessionUp } from './agent-session.ts';
import { type CheckInDesk, hostService } from './check-ins.ts';
import { bindGrpc, closeGrpc, credentialsOf, listenGrpc } from './grpc-listen.ts';
import { KnownCredentials } from './hello.ts';
import { Instructor } from './instructor.ts';

export type { SessionUp } from './agent-session.ts';

export interface Refusal {
  /** `unauthenticated`: token unknown or expired. `denied`: it belongs to somebody else. `invalid`: the request itself is wrong. */
  readonly refused: 'unauthenticated' | 'denied' | 'invalid' | 'unavailable';
  /** A sentence that may be shown on the machine's console: no secret in it. */
  readonly why: string;
}

export type Registration = RegisterResponse;

/** What the core decides and hears. Everything is called synchronously; what throws costs the one agent its call or stream. */
export interface AgentCore {
  onRegister(request: RegisterRequest, place: Place): Registration | Refusal;
  /** Undefined for a credential that is not ours. */
  readCredential(text: string): Credential | undefined;
  /** A session whose signature was right. It replaces an older one of the host unless it is refused. */
  onSessionUp(host: string, session: SessionUp): Refusal | undefined;
  /** Not called when another session took over at once. */
  onSessionDown(host: string, why: string): void;
  onHeartbeat(host: string, heartbeat: Heartbeat): void;
  onProgress(host: string, progress: Progress): void;
  /** What took too long to be told at registration. Of the size of a message at most; nothing in it is checked. */
  onHardware?(host: string, report: HardwareReport): void;
  /**
   * Lines are clean: no control bytes, bounded.
   * @returns the sequence before which the agent may forget its lines, as soon as more can be taken; undefined: none is told
   */
  onLog(host: string, batch: LogBatch): Promise<bigint | undefined>;
  /** Every answer to an instruction, also one that nobody waits for any more. */
  onResult?(host: string, result: InstructionResult): void;
  /** An agent did something that can't be right; for the log. */
  onOdd?(peer: string, what: string): void;
}

export interface AgentServerOptions {
  /** Addresses to listen on; one of them missing is an error. */
  readonly addresses: readonly string[];
  /** 0 takes a free one, for tests. */
  readonly port: number;
  readonly tls: { readonly certPem: string; readonly keyPem: string };
  readonly core: AgentCore;
  /** Where a peer (`IP:port`) is. Absent: on our own networks, each. */
  readonly placeOf?: (peer: string) => Place;
  /** Answers installed systems at the same door. Absent: they find no such service. */
  readonly checkIns?: CheckInDesk;
  readonly mostSessions?: number;
  /** A stream that has not said hello by then is ended. */
  readonly helloMs?: number;
}

export interface AgentServer {
  /** Where it listens, as `IP:port`. */
  readonly bound: readonly string[];
  readonly port: number;
  /** Opens one more door, on 127.0.0.1, for what relays carry; its port. */
  loopback(): Promise<number>;
  /** Hosts with a living session. */
  sessions(): string[];
  /**
   * Has one instruction carried out. Waits for the machine's session when there is none, and gives the instruction again (under the
   * same id, so that it runs once) when the session was lost meanwhile.
   * @throws InstructionError when the time is over or the server closes
   */
  instruct(host: string, action: NonNullable<Instruction['action']>, timeoutMs: number): Promise<InstructionResult>;
  /** Ends the host's session; the agent may come back. */
  drop(host: string, why: string): void;
  /** Ends all sessions and the listening sockets. */
  close(): Promise<void>;
}

const codes: Record<Refusal['refused'], status> = {
  unauthenticated: status.UNAUTHENTICATED,
  denied: status.PERMISSION_DENIED,
  invalid: status.INVALID_ARGUMENT,
  unavailable: status.UNAVAILABLE,
};

const failure = (code: status, details: string): Partial<ServiceError> => ({ code, details });

/** Opens the door. @throws Error naming the address that could not be taken */
export async function startAgentServer(options: AgentServerOptions): Promise<AgentServer> {
  const { core, mostSessions = 4096, helloMs = 10_000 } = options;
  const byHost = new Map<string, AgentSession>();
  const open = new Set<AgentSession>();
  const credentials = new KnownCredentials((text) => core.readCredential(text), mostSessions);
  const instructor = new Instructor(() => randomUUID());
  const odd = (peer: string, what: string): void => {
    try {
      core.onOdd?.(peer, what);
    } catch {
      // a broken listener must not make it worse
    }
  };

  const { placeOf = placeOfPeer } = options;

  const register: handleUnaryCall<RegisterRequest, RegisterResponse> = (call, callback) => {
    const place = placeOf(call.getPeer());
    try {
      const answer = core.onRegister(call.request, place);
      if ('refused' in answer) callback(failure(codes[answer.refused], answer.why));
      else callback(null, answer);
    } catch (error) {
      odd(placeText(place), `register: ${(error as Error).message}`);
      callback(failure(status.INTERNAL, 'the controller failed to handle the registration'));
    }
  };

  /** Who has said no good hello, and had longest to say it: strangers keep no agent out. */
  const silent = (): AgentSession | undefined => {
    for (const each of open) if (each.about === undefined) return each;
    return undefined;
  };

  const session = (stream: ServerDuplexStream<SessionRequest, SessionResponse>): void => {
    if (open.size >= mostSessions) silent()?.end(status.RESOURCE_EXHAUSTED, 'too many sessions');
    if (open.size >= mostSessions) {
      odd(placeText(placeOf(stream.getPeer())), `more than ${mostSessions} sessions`);
      stream.emit('error', failure(status.RESOURCE_EXHAUSTED, 'too many sessions'));
      return;
    }
    const made = new AgentSession(stream, placeOf(stream.getPeer()), helloMs, credentials, {
      up: (host, about) => {
        const older = byHost.get(host);
        const refusal = core.onSessionUp(host, older?.about ? { ...about, replaces: older.about } : about);
        if (refusal) return failure(codes[refusal.refused], refusal.why);
        byHost.set(host, made);
        older?.end(status.ABORTED, 'a newer session took over');
        instructor.resend(host, { bootId: about.bootId, send: made.instruct });
        return undefined;
      },
      down: (host, why) => {
        open.delete(made);
        if (host === undefined || byHost.get(host) !== made) return;
        byHost.delete(host);
        core.onSessionDown(host, why);
      },
      message: (host, message) => {
        switch (message.$case) {
          case 'heartbeat':
            core.onHeartbeat(host, message.value);
            break;
          case 'progress':
            core.onProgress(host, message.value);
            break;
          case 'hardware':
            core.onHardware?.(host, message.value);
            break;
          case 'result':
            instructor.answered(host, message.value);
            core.onResult?.(host, message.value);
        }
      },
      log: (host, batch) => core.onLog(host, batch),
      odd,
    });
    open.add(made);
  };

  // The library writes what it also reports as an error straight to stderr, into the terminal view.
  setLogVerbosity(logVerbosity.NONE);
  const server = new Server({
    'grpc.max_receive_message_length': 4 << 20,
    'grpc.max_send_message_length': 4 << 20,
    'grpc.max_concurrent_streams': 8,
    'grpc.keepalive_time_ms': 20_000,
    'grpc.keepalive_timeout_ms': 10_000,
    'grpc.enable_channelz': 0,
  });
  server.addService(AgentServiceService, { register, session });
  if (options.checkIns !== undefined)
    server.addService(HostServiceService, hostService(options.checkIns, placeOf, odd));
  const tls = credentialsOf(options.tls);
  const { bound, port } = await listenGrpc(server, tls, { ...options, whom: 'agents' });

  return {
    bound,
    port,
    loopback: () => bindGrpc(server, '127.0.0.1:0', tls),
    sessions: () => [...byHost.keys()],
    instruct(host, action, timeoutMs) {
      const up = byHost.get(host);
      const down = up?.about && { bootId: up.about.bootId, send: up.instruct };
      return instructor.instruct(host, action, timeoutMs, down);
    },
    drop: (host, why) => byHost.get(host)?.end(status.ABORTED, why),
    async close() {
      instructor.close();
      for (const each of open) each.end(status.UNAVAILABLE, 'the controller is closing');
      await closeGrpc(server, 500);
    },
  };
}
