// One attempt to trade the token of this boot for a session credential.
import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import type { AgentServiceClient, RegisterRequest, RegisterResponse } from '@nixie/proto/agent';

/** What the controller's answer means for the next step. */
export type Registered =
  | { readonly kind: 'ok'; readonly response: RegisterResponse }
  /** The token is not, or no longer, good: only a new boot script has another. */
  | { readonly kind: 'refused'; readonly why: string }
  /** Another machine holds this MAC or this token: a person has to look. */
  | { readonly kind: 'conflict'; readonly why: string }
  /** Nothing said about us: try again. */
  | { readonly kind: 'again'; readonly why: string };

export function register(
  client: AgentServiceClient,
  request: RegisterRequest,
  deadlineMs: number,
): Promise<Registered> {
  return new Promise((resolve) => {
    client.register(request, new Metadata(), { deadline: Date.now() + deadlineMs }, (error, response) => {
      if (!error) resolve({ kind: 'ok', response });
      else resolve(judge(error));
    });
  });
}

/** Which errors say something about this machine, and which only about the moment. */
export function judge(error: Pick<ServiceError, 'code' | 'details'>): Registered {
  const why = `${status[error.code] ?? error.code}: ${error.details}`;
  switch (error.code) {
    case status.UNAUTHENTICATED:
      return { kind: 'refused', why };
    case status.PERMISSION_DENIED:
    case status.ALREADY_EXISTS:
      return { kind: 'conflict', why };
    default:
      return { kind: 'again', why };
  }
}
