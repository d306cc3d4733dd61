// Relays that know nothing of Nixie, in the router between the two subnets: ISC dhcrelay and dnsmasq's.
import { setTimeout as sleep } from 'node:timers/promises';
import { type Child, start } from './child.ts';
import { lan2, type Network } from './net.ts';
import { patienceMs } from './patience.ts';

export type ForeignRelay = 'dhcrelay' | 'dnsmasq';

const readyWords: Record<ForeignRelay, RegExp> = {
  dhcrelay: /Sending on\s+Socket\/fallback/,
  dnsmasq: /DHCP relay from/,
};

function argv(kind: ForeignRelay, servers: readonly string[]): string[] {
  if (kind === 'dhcrelay')
    return ['dhcrelay', '-d', '-4', '-a', '-m', 'append', '-id', 'lan2', '-iu', 'lan1', ...servers];
  const common = ['--keep-in-foreground', '--conf-file=/dev/null', '--log-facility=-', '--port=0', '--user=root'];
  // A pid file would be one for all: of two that start at once one ends.
  return ['dnsmasq', ...common, '--pid-file=', ...servers.map((server) => `--dhcp-relay=${lan2.router},${server}`)];
}

/** Passes what the second subnet asks to each of the servers. The network must have a second subnet. */
export async function startRelay(
  net: Network,
  options: { kind?: ForeignRelay; servers: readonly string[]; deadlineMs: number },
): Promise<Child> {
  const { kind = 'dhcrelay', servers, deadlineMs } = options;
  if (net.rt === undefined) throw new Error('start a relay: the network has no router');
  const lines: string[] = [];
  let child: Child | undefined;
  const ready = new Promise<void>((resolve, reject) => {
    child = start(net.inside(net.rt!, argv(kind, servers)), {
      deadlineMs,
      onLine: (line) => {
        lines.push(line);
        if (lines.length > 1000) lines.shift();
        if (readyWords[kind].test(line)) resolve();
      },
    });
    child.exited.then(() => reject(new Error(`${kind} ended: ${lines.slice(-5).join(' | ')}`)), reject);
  });
  ready.catch(() => {});
  const late = sleep(patienceMs, undefined, { ref: false }).then(() => {
    throw new Error(`${kind} is not ready: ${lines.slice(-5).join(' | ')}`);
  });
  late.catch(() => {});
  await Promise.race([ready, late]);
  return child!;
}
