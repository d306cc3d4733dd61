// The door for installed systems, beside that for agents: HostService. What is believed is decided in core/check-in.ts.
import { type handleUnaryCall, type ServiceError, status } from '@grpc/grpc-js';
import type {
  ChallengeRequest,
  ChallengeResponse,
  CheckInRequest,
  CheckInResponse,
  HostServiceServer,
} from '@nixie/proto/host';
import { type Place, placeText } from '../machine/relay.ts';

export interface CheckInDesk {
  challenge(): Uint8Array;
  checkIn(
    request: CheckInRequest,
    place: Place,
  ): Promise<{ readonly refused: 'denied' | 'invalid' | 'unavailable'; readonly why: string } | undefined>;
}

const codes = {
  denied: status.PERMISSION_DENIED,
  invalid: status.INVALID_ARGUMENT,
  unavailable: status.UNAVAILABLE,
} as const;

/** @param odd is told of every check-in that was refused */
export function hostService(
  desk: CheckInDesk,
  placeOf: (peer: string) => Place,
  odd: (peer: string, what: string) => void,
): HostServiceServer {
  const fail = (code: status, details: string): Partial<ServiceError> => ({ code, details });
  const challenge: handleUnaryCall<ChallengeRequest, ChallengeResponse> = (_call, callback) =>
    callback(null, { challenge: Buffer.from(desk.challenge()) });
  const checkIn: handleUnaryCall<CheckInRequest, CheckInResponse> = (call, callback) => {
    const place = placeOf(call.getPeer());
    const peer = placeText(place);
    desk.checkIn(call.request, place).then(
      (refusal) => {
        if (refusal === undefined) return callback(null, {});
        odd(peer, `a check-in was refused: ${refusal.why}`);
        callback(fail(codes[refusal.refused], refusal.why));
      },
      (error: unknown) => {
        odd(peer, `check-in: ${(error as Error).message}`);
        callback(fail(status.INTERNAL, 'the controller failed to handle the check-in'));
      },
    );
  };
  return { challenge, checkIn };
}
