// A controller reduced to its front door for agents, with the plainest core that is honest about tokens and credentials.
import { createHash, randomBytes } from 'node:crypto';
import type {
  HardwareReport,
  Heartbeat,
  InstructionResult,
  LogLine,
  Progress,
  RegisterRequest,
} from '@nixie/proto/agent';
import { type AgentServer, type SessionUp, startAgentServer } from '../../../controller/src/listen/agents.ts';
import type { Mac } from '../../../controller/src/machine/mac.ts';
import { makeCredential, readCredential, TokenBook } from '../../../controller/src/machine/token.ts';
import type { ControllerTls } from '../../../controller/src/store/tls.ts';

export interface Door {
  readonly server: AgentServer;
  readonly tokens: TokenBook;
  readonly registered: RegisterRequest[];
  readonly refusals: string[];
  readonly ups: { host: string; session: SessionUp }[];
  readonly downs: string[];
  readonly beats: Heartbeat[];
  readonly progress: Progress[];
  readonly hardware: HardwareReport[];
  readonly logs: LogLine[];
  readonly results: InstructionResult[];
  readonly odd: string[];
}

export const authorizedKey =
  'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJmbo0W0H2kYzQmQ1bWb7oQX4n6S1X8gk1o2mV1Xk3Qd of-this-run';

export async function openDoor(
  tls: ControllerTls,
  {
    port = 0,
    heartbeatMs = 200,
    tokens = new TokenBook(randomBytes),
  }: { port?: number; heartbeatMs?: number; tokens?: TokenBook } = {},
): Promise<Door> {
  const seen = {
    tokens,
    registered: [] as RegisterRequest[],
    refusals: [] as string[],
    ups: [] as Door['ups'],
    downs: [] as string[],
    beats: [] as Heartbeat[],
    progress: [] as Progress[],
    hardware: [] as HardwareReport[],
    logs: [] as LogLine[],
    results: [] as InstructionResult[],
    odd: [] as string[],
  };
  const server = await startAgentServer({
    addresses: ['127.0.0.1'],
    port,
    tls,
    core: {
      onRegister(request) {
        const agentKey = createHash('sha256').update(request.agentKey).digest('hex');
        const { verdict, host } = tokens.take(request.token, request.mac as Mac, agentKey, Date.now());
        if (verdict !== 'ok' && verdict !== 'again') {
          seen.refusals.push(verdict);
          return {
            refused: verdict === 'unknown' || verdict === 'expired' ? 'unauthenticated' : 'denied',
            why: `token is ${verdict}`,
          };
        }
        seen.registered.push(request);
        const about = { host: host!, mac: request.mac as Mac, bootId: request.bootId, agentKey: request.agentKey };
        return {
          host: host!,
          credential: makeCredential(tls.credentialSecret, about),
          authorizedKeys: [authorizedKey],
          heartbeatMs,
        };
      },
      readCredential: (text) => readCredential(tls.credentialSecret, text),
      onSessionUp(host, session) {
        seen.ups.push({ host, session });
        return undefined;
      },
      onSessionDown: (_host, why) => void seen.downs.push(why),
      onHeartbeat: (_host, beat) => void seen.beats.push(beat),
      onProgress: (_host, progress) => void seen.progress.push(progress),
      onHardware: (_host, report) => void seen.hardware.push(report),
      async onLog(_host, { lines, first }) {
        seen.logs.push(...lines);
        return first + BigInt(lines.length);
      },
      onResult: (_host, result) => void seen.results.push(result),
      onOdd: (_peer, what) => void seen.odd.push(what),
    },
  });
  return { server, ...seen };
}
