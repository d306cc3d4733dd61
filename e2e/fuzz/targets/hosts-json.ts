import { parseHosts } from '../../../controller/src/config/hosts.ts';
import { problemLine } from '../../../controller/src/config/problem.ts';
import { inSubnet, subnetKey } from '../../../controller/src/machine/subnet.ts';
import { bytesOf, must, type Target } from '../target.ts';

const full = {
  $schema: './hosts.schema.json',
  $subnets: [
    {
      cidr: '10.78.0.0/24',
      controller_address: '10.77.0.1',
      range: '10.78.0.100-10.78.0.199',
      router: '10.78.0.1',
      dns: ['9.9.9.9'],
    },
    { cidr: '10.78.0.0/24', relay: 'site-b' },
  ],
  machine1: { mac_address: 'aa:bb:cc:dd:ee:01' },
  machine2: {
    mac_addresses: ['aa-bb-cc-dd-ee-02', 'aabb.ccdd.ee03'],
    system: 'aarch64-linux',
    flake_attr: 'other',
    tags: ['rack:1'],
    boot: ['console=ttyS0'],
    address: '10.78.0.7',
    subnet: 'site-b',
    expect_disks: [{ serial: 'S1', min_size: '400G', max_size: 500_000_000_000, rotational: false }],
    disk: { min_size: '400G', model: 'SAMSUNG*', by_path: 'pci-0000:01:00.0-nvme-1' },
    wipe: true,
  },
};

export const target: Target = {
  name: 'hosts-json',
  seeds: [
    bytesOf(JSON.stringify(full, null, 2)),
    bytesOf(
      '{"a":{"mac_adress":"aa:bb:cc:dd:ee:ff"},"a":{},"b":{"mac_address":"aa:bb:cc:dd:ee:ff","address":"10.0.0.7"}}',
    ),
    bytesOf('{"a": {"mac_address": "00:00:00:00:00:00",}} // no'),
  ],
  dictionary: [
    '"mac_address":"aa:bb:cc:dd:ee:01"',
    '"mac_addresses":[',
    '"expect_disks":[{',
    '"disk":{',
    '"by_path":"*"',
    '"address":"10.0.0.7"',
    '"__proto__":{',
    '"constructor":',
    '"$schema":"x"',
    '"$subnets":[{"cidr":"10.78.0.0/24"}],',
    '"range":"10.78.0.9-10.78.0.3"',
    '"relay":"b"',
    '"subnet":"b:10.78.0.0/24"',
    '"min_size":"1e3"',
    '"x":1,',
    '"x":{"mac_address":"aa:bb:cc:dd:ee:01"},',
    '\ufeff',
    '{}',
    '[]',
    'null',
    'true',
    '-0.1e5',
    '\\u0041',
    '\\ud800',
  ],
  allowed: [],
  run(bytes) {
    const result = parseHosts(bytes, 'hosts.json');
    if (result.ok) {
      must(result.hosts.length > 0 && result.hosts.every((host) => host.macs.length > 0), 'each host has a MAC');
      const macs = result.hosts.flatMap((host) => host.macs.map((mac) => `${host.relay} ${mac}`));
      must(new Set(macs).size === macs.length, 'no MAC belongs to two hosts of one site');
      const keys = result.subnets.map(subnetKey);
      must(new Set(keys).size === keys.length, 'no subnet is declared twice');
      for (const { subnet } of result.hosts)
        must(subnet === undefined || keys.includes(subnet), 'a host is in a declared subnet');
      for (const each of result.subnets)
        must(
          inSubnet(each.network, each) && (each.range === undefined || inSubnet(each.range.from, each)),
          'a subnet has its own addresses',
        );
    } else {
      must(result.problems.length > 0, 'what is refused has a reason');
      for (const problem of result.problems.slice(0, 20))
        must(!/[\x00-\x1f\x7f]/.test(problemLine(problem)), 'a problem is one line without control characters');
    }
  },
};
