// What can stand in the way of a run, seen from this computer before it: a closed list. docs/doctor.md is made of it. Ids never change.

export interface Obstacle {
  /** A note is worth knowing and stops nothing. */
  readonly level: 'problem' | 'note';
  readonly what: string;
  readonly advice: string;
}

export const obstacles = {
  'interface-down': { level: 'problem', what: 'the interface is down', advice: 'ip link set NAME up' },
  'no-carrier': {
    level: 'problem',
    what: 'the interface has no carrier',
    advice: 'look at the cable and at the port of the switch',
  },
  'no-ipv4': {
    level: 'problem',
    what: 'the interface has no IPv4 address',
    advice: 'give it one: ip addr add 10.0.0.1/24 dev NAME, or in the configuration of this computer',
  },
  'mtu-large': {
    level: 'problem',
    what: 'the MTU is larger than Ethernet has',
    advice: 'TFTP blocks are cut to it: use 1500 unless every switch and firmware takes jumbo frames',
  },
  'mtu-small': {
    level: 'note',
    what: 'the MTU is smaller than Ethernet has',
    advice: 'TFTP blocks are cut to it; machines on the same segment should have the same MTU',
  },
  'other-proxy': {
    level: 'problem',
    what: 'another server offers boot files',
    advice:
      'switch it off for the machines of the run, or boot on a network of its own: the machine takes the word of whoever is first',
  },
  'several-dhcp-servers': {
    level: 'problem',
    what: 'several servers give out addresses',
    advice: 'find out which is meant to, and switch the others off',
  },
  'dhcp-server-beside-range': {
    level: 'problem',
    what: 'another server gives out addresses, and --dhcp range=… is to be the only one',
    advice: 'use --dhcp proxy, or switch the other server off',
  },
  'no-dhcp-server': {
    level: 'problem',
    what: 'no server offered an address',
    advice:
      'without one, use --dhcp range=FROM-TO; with one, look at its free addresses, whether it answers unknown MACs, and at DHCP snooping in the switch',
  },
  'port-taken': {
    level: 'problem',
    what: 'a port that nixie needs is taken',
    advice: 'stop the program that holds it, or have it leave this interface alone',
  },
  'firewall-drops': {
    level: 'problem',
    what: 'the firewall of this computer drops packets for nixie',
    advice: 'allow UDP 67, 69, 4011 and TCP 7480, 7481 on this interface (NixOS: networking.firewall.interfaces.NAME)',
  },
  'firewall-unknown': {
    level: 'note',
    what: 'it is not known whether the firewall of this computer lets packets through',
    advice:
      'run as root with nft or iptables-save on PATH, or look at the rules for UDP 67, 69, 4011 and TCP 7480, 7481',
  },
  'program-missing': {
    level: 'problem',
    what: 'a program that a run needs is missing',
    advice: 'install the package',
  },
  'loader-missing': {
    level: 'problem',
    what: 'no boot loader for x86 machines',
    advice: 'install the package ipxe, or name a folder with --ipxe',
  },
  'arm64-loader-missing': {
    level: 'note',
    what: 'no boot loader for arm64 machines',
    advice:
      'needed only for hosts with "system": "aarch64-linux": name a folder with --ipxe that has snponly-arm64.efi',
  },
  'rp-filter': {
    level: 'note',
    what: 'packets from networks that are routed elsewhere are dropped (rp_filter=1)',
    advice:
      'relayed machines and those with an address of another network may not be heard: sysctl net.ipv4.conf.NAME.rp_filter=2',
  },
  'no-forwarding': {
    level: 'note',
    what: 'this computer forwards nothing between networks (ip_forward=0)',
    advice:
      'machines reach this computer only, which is enough for an install; behind a relay they need another router',
  },
  'not-asked': {
    level: 'note',
    what: 'other DHCP and PXE servers could not be looked for',
    advice: 'run as root, or with CAP_NET_RAW',
  },
  'not-tried': {
    level: 'note',
    what: 'some ports could not be tried',
    advice: 'run as root, or with CAP_NET_BIND_SERVICE',
  },
} as const satisfies Record<string, Obstacle>;

export type ObstacleId = keyof typeof obstacles;

/** Parts that could not be looked at at all. */
export const unlooked: readonly ObstacleId[] = ['not-asked', 'not-tried'];
