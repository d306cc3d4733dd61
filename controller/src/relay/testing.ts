// For tests: a plan with two machines, as a controller would send it.
import { BootPlan, DhcpMode, type FileRef, PlanOffer } from '@nixie/proto/relay';
import type { OwnLink } from './plan.ts';

export const links: readonly OwnLink[] = [{ name: 'lan0', address: '10.9.0.1', prefixLength: 24 }];
export const kernelRef: FileRef = { sha256: 'a'.repeat(64), bytes: 5000n };
export const initrdRef: FileRef = { sha256: 'b'.repeat(64), bytes: 90_000n };
export const loaderRef: FileRef = { sha256: 'd'.repeat(64), bytes: 1000n };
export const biosRef: FileRef = { sha256: 'e'.repeat(64), bytes: 2000n };

/** m1 is to be installed, m2 is. */
export function given({
  offer = PlanOffer.PLAN_OFFER_INSTALLER,
  tokens = ['1'.repeat(32), '2'.repeat(32)],
  version = 7n,
}: {
  offer?: PlanOffer;
  tokens?: string[];
  version?: bigint;
} = {}): BootPlan {
  return BootPlan.fromPartial({
    version,
    fingerprint: 'c'.repeat(64),
    httpPort: 7480,
    agentPort: 7481,
    interfaces: [
      {
        name: 'lan0',
        dhcp: DhcpMode.DHCP_MODE_RANGE,
        router: '10.9.0.254',
        dns: ['10.9.0.53'],
        leaseSeconds: 3600,
      },
    ],
    machines: [
      {
        name: 'm1',
        system: 'x86_64-linux',
        offer,
        boot: [],
        cards: [{ mac: '52:54:00:00:00:01', address: '10.9.0.100', tokens }],
      },
      {
        name: 'm2',
        system: 'x86_64-linux',
        offer: PlanOffer.PLAN_OFFER_LOCAL,
        boot: [],
        cards: [{ mac: '52:54:00:00:00:02', address: '', tokens: [] }],
      },
    ],
    installers: [
      { system: 'x86_64-linux', kernel: kernelRef, initrd: initrdRef, kernelParams: ['init=/init'], needsBytes: 1000n },
    ],
    loaders: [
      { firmware: 'x64', name: 'snponly.efi', file: loaderRef },
      { firmware: 'bios', name: 'undionly.kpxe', file: biosRef },
    ],
    ahead: [kernelRef],
    cacheKey: '',
  });
}
