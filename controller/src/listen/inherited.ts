// Sockets that systemd opened and hands over (sd_listen_fds(3)), bound to their interfaces: whoever gets them needs no right to ports below 1024.
import { descriptorPlace, type UdpPlace } from './udp.ts';

export interface InheritedUdp extends UdpPlace {
  readonly fd: number;
}

/** SD_LISTEN_FDS_START */
const firstDescriptor = 3;
const ports: readonly number[] = [67, 69, 4011];

/** What systemd says to a service by variables; its children are not to hear it. */
export const serviceVariables = [
  'LISTEN_PID',
  'LISTEN_PIDFDID',
  'LISTEN_FDS',
  'LISTEN_FDNAMES',
  'NOTIFY_SOCKET',
  'WATCHDOG_USEC',
  'WATCHDOG_PID',
] as const;

/**
 * The descriptors that were handed to this process; none without LISTEN_FDS, or when they are meant for another process.
 * @throws Error when one of them is something else than a UDP socket of ours: then a unit says what nobody means
 */
export function inheritedUdp(
  env: Readonly<Record<string, string | undefined>>,
  pid: number,
  placeOf: (fd: number) => UdpPlace | undefined = descriptorPlace,
): InheritedUdp[] {
  const count = Number(env.LISTEN_FDS ?? 0);
  if (env.LISTEN_PID !== String(pid) || !Number.isInteger(count) || count < 1) return [];
  const names = env.LISTEN_FDNAMES?.split(':') ?? [];
  return Array.from({ length: count }, (_, index) => {
    const fd = firstDescriptor + index;
    const place = placeOf(fd);
    if (place === undefined || place.interface === '' || !ports.includes(place.port)) {
      const found =
        place === undefined
          ? 'no UDP socket for IPv4'
          : `udp ${place.address}:${place.port} on ${place.interface || 'every interface'}`;
      throw new Error(
        `take over socket ${names[index] ?? fd} of systemd: found ${found}, accepted: UDP on port ${ports.join(', ')} with BindToDevice=`,
      );
    }
    return { ...place, fd };
  });
}

/**
 * What was handed over for a port of an interface: `any` hears broadcasts as well, `own` is bound to our address, where there is such a one.
 * Undefined: nothing that hears everything that comes to us.
 */
export function handedOver(
  all: readonly InheritedUdp[],
  link: { readonly name: string; readonly address: string },
  port: number,
): { readonly any: number; readonly own?: number } | undefined {
  const at = (address: string) =>
    all.find((one) => one.interface === link.name && one.port === port && one.address === address)?.fd;
  const any = at('0.0.0.0');
  const own = at(link.address);
  if (any === undefined) return undefined;
  return own === undefined ? { any } : { any, own };
}
