// The gRPC client with the settings that a machine in the middle of an install needs.
import type { ChannelCredentials } from '@grpc/grpc-js';
import { AgentServiceClient } from '@nixie/proto/agent';

/** Both sides say and hear at most this much in one message. */
export const mostMessageBytes = 4 << 20;

export const channelOptions = {
  // Retries of the library keep every sent byte of a long stream in memory; we reconnect ourselves.
  'grpc.enable_retries': 0,
  'grpc.enable_http_proxy': 0,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.service_config_disable_resolution': 1,
  'grpc.keepalive_time_ms': 20_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.max_send_message_length': mostMessageBytes,
  'grpc.max_receive_message_length': mostMessageBytes,
};

/**
 * How the library is told that an address is one: else it sets up a resolver of names first.
 * @param endpoint `IP:port`
 */
export function targetOf(endpoint: string): string {
  return `${endpoint.startsWith('[') ? 'ipv6' : 'ipv4'}:${endpoint}`;
}

export function makeClient(endpoint: string, credentials: ChannelCredentials): AgentServiceClient {
  return new AgentServiceClient(targetOf(endpoint), credentials, channelOptions);
}
