// dnsmasq in two roles: the plain DHCP server that a LAN has anyway and that knows nothing of network boot, and a whole boot server in Nixie's
// place, for the lab's self-check and as the peer of the boot benchmark.
import { setTimeout as sleep } from 'node:timers/promises';
import { type Child, start } from './child.ts';
import { lan, lan2, type Network } from './net.ts';
import { patienceMs } from './patience.ts';

export interface DhcpServer {
  /** What it logged so far. */
  readonly lines: readonly string[];
  stop(): Promise<void>;
}

const common = [
  '--keep-in-foreground',
  '--conf-file=/dev/null',
  '--log-facility=-',
  '--log-dhcp',
  '--port=0', // no DNS
  '--no-ping', // its probe before an offer costs three seconds
  '--leasefile-ro',
  '--pid-file=', // one for all would be: of two that start at once one ends
  '--bind-interfaces',
  '--except-interface=lo',
  '--user=root',
];

async function serve(
  net: Network,
  namespace: string,
  args: readonly string[],
  deadlineMs: number,
  interfaceName = 'eth0',
): Promise<DhcpServer> {
  const lines: string[] = [];
  let child: Child | undefined;
  const ready = new Promise<void>((resolve, reject) => {
    child = start(net.inside(namespace, ['dnsmasq', ...common, `--interface=${interfaceName}`, ...args]), {
      deadlineMs,
      onLine: (line) => {
        if (lines.length < 20_000) lines.push(line);
        // The last thing it says before it serves.
        if (/DHCP, sockets bound|DHCP, IP range|RTR-ADVERT|started/.test(line)) setTimeout(resolve, 100);
      },
    });
    child.exited.then(
      (exit) => reject(new Error(`dnsmasq ended with ${exit.code ?? exit.signal}: ${lines.slice(-5).join(' | ')}`)),
      reject,
    );
  });
  const tooLate = sleep(patienceMs, undefined, { ref: false }).then(() => {
    throw new Error(`dnsmasq did not become ready: ${lines.slice(-5).join(' | ')}`);
  });
  ready.catch(() => {});
  await Promise.race([ready, tooLate]);
  return {
    lines,
    async stop() {
      await child?.stop(2000);
    },
  };
}

const advertise = (name: string) => [
  '--enable-ra',
  '--dhcp-range=fd77::,ra-only',
  `--ra-param=${name},mtu:1500,10,600`,
];
const routerAdvertisements = advertise('eth0');

/** A site's DHCP server: addresses from .100 to .199 unless said otherwise, no boot options. With `ra` it is an IPv6 router too, which iPXE waits for otherwise. */
export function foreignDhcp(
  net: Network,
  options: { ra: boolean; deadlineMs: number; from?: number; to?: number; prefix?: string },
): Promise<DhcpServer> {
  const { from = 100, to = 199, prefix = lan.prefix } = options;
  const args = [
    `--dhcp-range=${prefix}.${from},${prefix}.${to},255.255.255.0,1h`,
    '--dhcp-authoritative',
    ...(prefix === lan2.prefix ? [`--dhcp-option=option:router,${lan2.router}`] : []),
    ...(options.ra ? routerAdvertisements : []),
  ];
  return serve(net, net.dhcp, args, options.deadlineMs);
}

/** Only the IPv6 router, for a LAN whose DHCP server is the one under test. */
export function routerOnly(net: Network, options: { deadlineMs: number }): Promise<DhcpServer> {
  return serve(net, net.dhcp, routerAdvertisements, options.deadlineMs);
}

/** The site's DHCP server for the second subnet, heard through a relay. */
export function foreignDhcpBeyond(net: Network, options: { deadlineMs: number }): Promise<DhcpServer> {
  const args = [
    `--dhcp-range=${lan2.prefix}.100,${lan2.prefix}.199,255.255.255.0,1h`,
    `--dhcp-option=option:router,${lan2.router}`,
    '--dhcp-authoritative',
  ];
  return serve(net, net.dhcp, args, options.deadlineMs);
}

/** The router between the subnets is an IPv6 router of the second one. */
export function routerBeyond(net: Network, options: { deadlineMs: number }): Promise<DhcpServer> {
  return serve(net, net.rt!, advertise('lan2'), options.deadlineMs, 'lan2');
}

/**
 * A second ProxyDHCP server of somebody else, in a namespace of its own: it answers the same machines as Nixie with a boot file of its own.
 * `namespace` has eth0 on the LAN.
 */
export function strangeProxy(
  net: Network,
  options: { namespace: string; tftpRoot: string; file: string; deadlineMs: number },
): Promise<DhcpServer> {
  const args = [
    `--dhcp-range=${lan.prefix}.0,proxy`,
    '--enable-tftp',
    `--tftp-root=${options.tftpRoot}`,
    '--dhcp-match=set:x64,option:client-arch,7',
    `--pxe-service=X86-64_EFI,Strange,${options.file}`,
    `--pxe-service=x86PC,Strange,${options.file}`,
    `--dhcp-boot=tag:x64,${options.file}`,
  ];
  return serve(net, options.namespace, args, options.deadlineMs);
}

/** In Nixie's place: addresses, iPXE by TFTP, then a script by HTTP. `tftpRoot` holds snponly.efi and undionly.kpxe;
 *  `fixed` are entries `MAC,ADDRESS`. */
export function bootServer(
  net: Network,
  options: { scriptUrl: string; loaderUrl: string; tftpRoot: string; fixed?: readonly string[]; deadlineMs: number },
): Promise<DhcpServer> {
  const args = [
    `--dhcp-range=${lan.prefix}.100,${lan.prefix}.199,255.255.255.0,1h`,
    '--dhcp-authoritative',
    '--dhcp-ignore-clid', // firmware, installer and system call themselves differently and are one machine
    ...(options.fixed ?? []).map((host) => `--dhcp-host=${host}`),
    '--enable-tftp',
    `--tftp-root=${options.tftpRoot}`,
    '--dhcp-match=set:ipxe,175',
    '--dhcp-match=set:x64,option:client-arch,7',
    '--dhcp-match=set:http,option:client-arch,16',
    '--dhcp-option-force=tag:ipxe,encap:175,176,1b', // iPXE: do not wait for a ProxyDHCP server
    '--dhcp-option-force=tag:http,60,HTTPClient',
    `--dhcp-boot=tag:ipxe,${options.scriptUrl}`,
    `--dhcp-boot=tag:http,tag:!ipxe,${options.loaderUrl}`,
    '--dhcp-boot=tag:x64,tag:!ipxe,snponly.efi',
    '--dhcp-boot=tag:!x64,tag:!http,tag:!ipxe,undionly.kpxe',
  ];
  return serve(net, net.srv, args, options.deadlineMs);
}
