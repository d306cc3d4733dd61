// What each option is called and how its value is shown. RFC 2132 unless noted.

export type Shape =
  | 'address'
  | 'addresses'
  | 'integer'
  | 'flag'
  | 'text'
  | 'message-type'
  | 'codes'
  | 'client-id'
  | 'architectures'
  | 'undi'
  | 'uuid'
  | 'user-class'
  | 'relay'
  | 'ipxe'
  | 'pxe-vendor'
  | 'bytes';

const table: readonly (readonly [code: number, name: string, shape: Shape])[] = [
  [1, 'subnet-mask', 'address'],
  [2, 'time-offset', 'integer'],
  [3, 'router', 'addresses'],
  [4, 'time-server', 'addresses'],
  [5, 'name-server', 'addresses'],
  [6, 'dns', 'addresses'],
  [7, 'log-server', 'addresses'],
  [8, 'cookie-server', 'addresses'],
  [9, 'lpr-server', 'addresses'],
  [10, 'impress-server', 'addresses'],
  [11, 'resource-location-server', 'addresses'],
  [12, 'host-name', 'text'],
  [13, 'boot-file-size', 'integer'],
  [14, 'merit-dump-file', 'text'],
  [15, 'domain-name', 'text'],
  [16, 'swap-server', 'address'],
  [17, 'root-path', 'text'],
  [18, 'extensions-path', 'text'],
  [19, 'ip-forwarding', 'flag'],
  [20, 'non-local-source-routing', 'flag'],
  [21, 'policy-filter', 'addresses'],
  [22, 'maximum-datagram', 'integer'],
  [23, 'ttl', 'integer'],
  [24, 'path-mtu-timeout', 'integer'],
  [25, 'path-mtu-plateaus', 'bytes'],
  [26, 'interface-mtu', 'integer'],
  [27, 'all-subnets-local', 'flag'],
  [28, 'broadcast', 'address'],
  [29, 'mask-discovery', 'flag'],
  [30, 'mask-supplier', 'flag'],
  [31, 'router-discovery', 'flag'],
  [32, 'router-solicitation', 'address'],
  [33, 'static-routes', 'addresses'],
  [34, 'trailers', 'flag'],
  [35, 'arp-timeout', 'integer'],
  [36, 'ethernet-encapsulation', 'flag'],
  [37, 'tcp-ttl', 'integer'],
  [38, 'tcp-keepalive', 'integer'],
  [39, 'tcp-keepalive-garbage', 'flag'],
  [40, 'nis-domain', 'text'],
  [41, 'nis-server', 'addresses'],
  [42, 'ntp-server', 'addresses'],
  [43, 'vendor', 'pxe-vendor'],
  [44, 'netbios-name-server', 'addresses'],
  [45, 'netbios-datagram-server', 'addresses'],
  [46, 'netbios-node-type', 'integer'],
  [47, 'netbios-scope', 'text'],
  [48, 'x-font-server', 'addresses'],
  [49, 'x-display-manager', 'addresses'],
  [50, 'requested-address', 'address'],
  [51, 'lease-seconds', 'integer'],
  [52, 'overload', 'integer'],
  [53, 'message-type', 'message-type'],
  [54, 'server', 'address'],
  [55, 'parameters', 'codes'],
  [56, 'message', 'text'],
  [57, 'maximum-size', 'integer'],
  [58, 'renewal-seconds', 'integer'],
  [59, 'rebinding-seconds', 'integer'],
  [60, 'vendor-class', 'text'],
  [61, 'client-id', 'client-id'],
  [64, 'nis+-domain', 'text'],
  [65, 'nis+-server', 'addresses'],
  [66, 'tftp-server', 'text'],
  [67, 'boot-file', 'text'],
  [68, 'mobile-ip-home-agent', 'addresses'],
  [69, 'smtp-server', 'addresses'],
  [70, 'pop3-server', 'addresses'],
  [71, 'nntp-server', 'addresses'],
  [72, 'www-server', 'addresses'],
  [77, 'user-class', 'user-class'], // RFC 3004
  [80, 'rapid-commit', 'bytes'], // RFC 4039
  [81, 'client-fqdn', 'bytes'], // RFC 4702
  [82, 'relay', 'relay'], // RFC 3046
  [93, 'architecture', 'architectures'], // RFC 4578
  [94, 'undi', 'undi'], // RFC 4578
  [97, 'uuid', 'uuid'], // RFC 4578
  [100, 'posix-timezone', 'text'], // RFC 4833
  [101, 'tzdb-timezone', 'text'], // RFC 4833
  [108, 'ipv6-only-preferred', 'integer'], // RFC 8925
  [114, 'captive-portal', 'text'], // RFC 8910
  [116, 'auto-configure', 'flag'], // RFC 2563
  [118, 'subnet-selection', 'address'], // RFC 3011
  [119, 'domain-search', 'bytes'], // RFC 3397
  [121, 'classless-routes', 'bytes'], // RFC 3442
  [124, 'vendor-classes', 'bytes'], // RFC 3925
  [125, 'vendor-information', 'bytes'], // RFC 3925
  [150, 'tftp-server-address', 'addresses'], // RFC 5859
  [175, 'ipxe', 'ipxe'],
  [208, 'pxelinux-magic', 'bytes'], // RFC 5071
  [209, 'configuration-file', 'text'], // RFC 5071
  [210, 'path-prefix', 'text'], // RFC 5071
  [211, 'reboot-time', 'integer'], // RFC 5071
];

const byCode = new Map(table.map((row) => [row[0], row]));

/** `option-NNN` for codes without a name here. */
export function optionName(code: number): string {
  return byCode.get(code)?.[1] ?? `option-${code}`;
}

export function optionShape(code: number): Shape {
  return byCode.get(code)?.[2] ?? 'bytes';
}
