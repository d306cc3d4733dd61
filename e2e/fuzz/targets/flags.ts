// The small grammars of the command line, a line each: what one of them takes, its neighbours must take alike.

import { readWake } from '../../../controller/src/cli/wake-request.ts';
import { readDhcp, readInstallOptions } from '../../../controller/src/config/flags.ts';
import { macPattern } from '../../../controller/src/config/hosts-schema.ts';
import { mostMachines, readInventoryRun } from '../../../controller/src/config/inventory-run.ts';
import { ipv4Pattern, isHostIpv4, parseIpv4 } from '../../../controller/src/config/ipv4.ts';
import { nearest, type Problem, show } from '../../../controller/src/config/problem.ts';
import { parseSize, sizePattern } from '../../../controller/src/config/sizes.ts';
import { subnetAddresses } from '../../../controller/src/install/find.ts';
import { macFromBytes, macToBytes, parseMac } from '../../../controller/src/machine/mac.ts';
import { parseAddress } from '../../../controller/src/wire/dhcp4/address.ts';
import { bytesOf, must, type Target, text } from '../target.ts';

const hostsFile = bytesOf('{"machine1":{"mac_address":"aa:bb:cc:dd:ee:01"}}');
const around = {
  cwd: '/',
  uid: 1000,
  env: { HOME: '/h' },
  readFile: () => hostsFile,
  look: (path: string) => (path.includes('no') ? undefined : ({ kind: 'file', mode: 0o755, uid: 0 } as const)),
};
const patterns = [sizePattern, macPattern, ipv4Pattern].map((pattern) => new RegExp(pattern));

export const target: Target = {
  name: 'flags',
  seeds: [
    bytesOf('range=10.0.0.100-10.0.0.199\n400G\naa:bb:cc:dd:ee:01\n192.168.1.10/24'),
    bytesOf('proxy\n372.5 GiB\naabb.ccdd.ee01\n10.0.0.1/31\nx86_64-linux=./examples#installer'),
    bytesOf('off\n1.5TB\nAABBCC-DDEEFF\n~/flake\n3600\n16\nmachine1'),
  ],
  dictionary: [
    'range=',
    '-',
    '255.255.255.255',
    '10.0.0.1',
    'KiB',
    'PB',
    '0.0000001P',
    ':',
    '/22',
    '#',
    'aarch64-linux=',
    'machine1',
    '99999999999999999999',
  ],
  allowed: [],
  run(bytes) {
    const lines = text(bytes).split('\n');
    const problems: Problem[] = [];
    const no = (where: string, said: string): void => void problems.push({ where, text: said });
    for (const line of lines) {
      const dhcp = readDhcp(line, no);
      if (dhcp.mode === 'range') must(parseAddress(dhcp.from) !== undefined, 'a range is made of addresses');
      const size = parseSize(line);
      if (size !== undefined) must(Number.isSafeInteger(size) && patterns[0]!.test(line), 'a size fits its schema');
      const mac = parseMac(line);
      if (mac !== undefined) {
        must(
          patterns[1]!.test(line.trim()) || line !== line.trim() || /^[0-9a-f]{12}$/i.test(line),
          'a MAC fits its schema',
        );
        must(macFromBytes(macToBytes(mac)) === mac, 'a MAC is six octets');
      }
      const address = parseIpv4(line);
      must((address !== undefined) === (parseAddress(line) !== undefined), 'two readers of IPv4 addresses agree');
      if (address !== undefined) isHostIpv4(address);
      try {
        must(subnetAddresses(line).length <= 1024, 'no subnet is larger than a /22');
      } catch (error) {
        if (!/^list subnet/.test((error as Error).message)) throw error;
      }
      show(line);
      nearest(line, ['mac_address', 'machine1', line.slice(0, 40)]);
    }
    const [a = '', b = '', c = ''] = lines;
    const few = lines.slice(0, 64);
    readWake(few, { address: a, secureOn: b, interface: few }, { hosts: [], subnets: [] }, problems);
    const only = readInventoryRun(
      { installer: few, flake: a, any: few, for: b, count: c, out: '/no', state: '/no' },
      around,
    );
    if (only.ok) {
      const { allowed, milliseconds = 1, count = 1 } = only.run;
      must(
        allowed.prefixes.every((prefix) => /^(?:[0-9a-f]{2}(?::|$)){0,6}$/.test(prefix)),
        'a beginning of a MAC',
      );
      must(milliseconds > 0 && milliseconds <= 7 * 86_400_000 && count >= 1, 'it ends');
      must(mostMachines >= count, 'it is bounded');
    }
    readInstallOptions(
      {
        hosts: 'hosts.json',
        flake: a,
        dhcp: b,
        installer: few,
        only: few,
        address: c,
        jobs: a,
        interface: few,
        state: c,
      },
      around,
      'install',
    );
  },
};
