// HardwareReport as it comes from the wire, up to what is kept of it and what people are shown: pages, Nix and JSON made of a stranger's words.
import { gzipSync } from 'node:zlib';
import { HardwareReport } from '@nixie/proto/agent';
import { Inventory } from '@nixie/proto/inventory';
import { nixModule, runtimeInfo } from '../../../controller/src/cli/inventory-exports.ts';
import { inventoryPage, inventoryTable } from '../../../controller/src/cli/inventory-table.ts';
import { parseHosts } from '../../../controller/src/config/hosts.ts';
import { hardwareDifferences } from '../../../controller/src/machine/hardware.ts';
import type { Mac } from '../../../controller/src/machine/mac.ts';
import { resolveRootDisk } from '../../../controller/src/machine/root-disk.ts';
import { hostsSkeleton, nameFor } from '../../../controller/src/machine/skeleton.ts';
import { oversized, wholeInventory } from '../../../controller/src/machine/whole-inventory.ts';
import { facterReport } from '../../../controller/src/store/hardware.ts';
import { must, type Target } from '../target.ts';
import { decoded, WireError } from '../wire-message.ts';

const mac = '52:54:00:77:00:01' as Mac;
const report = (content: HardwareReport['content']): Uint8Array => HardwareReport.encode({ content }).finish();
const inventory = Inventory.fromPartial({
  schemaVersion: 1,
  depth: 'full',
  boot: { bootId: 'b', arch: 'x86_64', mode: 'uefi' },
  system: { vendor: 'V', product: 'P', serial: 'S' },
  memory: { modules: [{ locator: 'A1', sizeBytes: 1n << 33n }] },
  disks: [{ path: '/dev/sda', sizeBytes: 1n << 40n, serial: 'S1', byId: ['/dev/disk/by-id/x'], transport: 'sata' }],
  nics: [{ name: 'eth0', mac, addresses: ['10.0.0.9/24'], lldp: [{ systemName: 'sw' }] }],
  pci: [{ address: '0000:00:17.0', class: '010601', driver: 'ahci' }],
});
const facter = (json: string) =>
  report({ $case: 'facter', value: { jsonGzip: gzipSync(json), jsonBytes: BigInt(json.length) } });

function look(found: Inventory): void {
  if (oversized(found) !== undefined) return;
  const whole = wholeInventory(found, inventory)!;
  const lines = [
    ...inventoryPage({ host: 'm1', inventory: whole }),
    ...inventoryTable([{ host: 'm1', inventory: whole }]),
    ...nixModule('m1', whole).trimEnd().split('\n'),
  ];
  must(
    lines.every((line) => !/[\x00-\x1f\x7f]/.test(line)),
    'a line is one line without control characters',
  );
  JSON.parse(runtimeInfo('m1', whole));
  must(hardwareDifferences(whole, whole).length === 0, 'a machine is itself');
  const chosen = resolveRootDisk({ disk: { serial: 'S1' } }, whole.disks);
  must(chosen.ok ? whole.disks.includes(chosen.disk) : chosen.reason !== '', 'a disk of the machine, or a reason');
  const name = nameFor(mac, whole, new Set());
  const read = parseHosts(new TextEncoder().encode(hostsSkeleton([{ name, mac, inventory: whole }])), 'hosts.json');
  must(read.ok && read.hosts[0]?.macs[0] === mac, 'the skeleton is a hosts file');
}

export const target: Target = {
  name: 'hardware-report',
  seeds: [
    report({ $case: 'inventory', value: inventory }),
    facter('{"version": 1}'),
    facter('[]'),
    report({ $case: 'smbiosGzip', value: gzipSync('x') }),
  ],
  dictionary: ['../', '__proto__', "''${", '"', '\n', 'nvme-pcie', 'AuthenticAMD', '/dev/disk/by-id/'],
  allowed: [WireError],
  run(bytes) {
    const { content } = decoded(HardwareReport, bytes);
    if (content?.$case === 'inventory') look(content.value);
    else if (content?.$case === 'facter') {
      let json: Buffer;
      try {
        json = facterReport(content.value.jsonGzip);
      } catch {
        return; // refused with a sentence; what was kept before stays
      }
      must(json.length <= 10 << 20, 'a report is bounded');
      must(typeof JSON.parse(json.toString()) === 'object', 'a report is JSON');
    }
  },
};
