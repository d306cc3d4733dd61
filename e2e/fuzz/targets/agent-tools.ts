// What programs print on a machine, read by the agent: ip, ethtool, lldpcli, smartctl, ipmitool. Anybody on the LAN writes into lldpcli's.
import { readLan, readLan6 } from '../../../agent/src/inventory/bmc.ts';
import { readEthtool } from '../../../agent/src/inventory/ethtool.ts';
import { kernelError } from '../../../agent/src/inventory/kernel-errors.ts';
import { readNeighbours } from '../../../agent/src/inventory/lldp.ts';
import { defaultRoute, readPermanent } from '../../../agent/src/inventory/nics.ts';
import { readLinkSpeed } from '../../../agent/src/inventory/pci.ts';
import { usedLinks } from '../../../agent/src/inventory/raise-links.ts';
import { readMeasured } from '../../../agent/src/inventory/sensors.ts';
import { readSmart } from '../../../agent/src/inventory/smart.ts';
import { bytesOf, must, type Target, text } from '../target.ts';

const line = (value: string | undefined): boolean =>
  value === undefined || (value !== '' && value.length <= 256 && !/[\x00-\x1f\x7f]/.test(value));

export const target: Target = {
  name: 'agent-tools',
  seeds: [
    '[{"ifname":"eth0","address":"02:00:00:00:00:01","permaddr":"52:54:00:77:00:01"},null]',
    'driver: e1000e\nfirmware-version: 0.8-4\n\tSupports Wake-on: pumbg\n\tWake-on: d\n\tAuto-negotiation: on\nPermanent address: 3c:52:82:11:22:33\n',
    '{"lldp":[{"interface":[{"name":"eno1","chassis":[{"id":[{"type":"mac","value":"00:1c:73:aa:bb:01"}],"name":[{"value":"leaf"}],"mgmt-ip":[{"value":"10.0.0.1"}]}],"port":[{"id":[{"type":"ifname","value":"Et1"}],"ttl":[{"value":"120"}]}],"vlan":[{"vlan-id":"77","pvid":true}]}]}]}',
    '{"lldp":{"interface":{"name":"eno1","chassis":{"id":{"type":"local","value":7}}}}}',
    '{"smartctl":{"exit_status":8},"smart_status":{"passed":false},"temperature":{"current":41},"power_on_time":{"hours":1},"ata_smart_attributes":{"table":[{"id":5,"raw":{"value":3}}]}}',
    '{"smart_status":{"passed":true},"nvme_smart_health_information_log":{"critical_warning":1,"percentage_used":101,"media_errors":0}}',
    'Set in Progress         : Set Complete\nIP Address Source       : Static Address\nIP Address              : 10.0.9.41\nSubnet Mask             : 255.255.255.0\nMAC Address             : d0:94:66:00:00:99\n802.1q VLAN ID          : 109\n',
    'IPv6 Dynamic Address 0:\n    Address:        FD00:9::41/128\n',
    'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\neth0\t00000000\t0107A8C0\t0003\t0\t0\t100\t00000000\n',
    '8.0 GT/s PCIe',
  ].map(bytesOf),
  dictionary: [
    '"permaddr":',
    '"interface":',
    '"chassis":',
    '"value":',
    '"pvid":',
    '"mgmt-ip":',
    '"raw":',
    '"current":',
    '__proto__',
    'null',
    '1e999',
    '-1',
    '\n    Address:        ',
    'firmware-version: ',
    'Wake-on: ',
    '255.255.255.0',
    ' : ',
    ' GT/s',
  ],
  allowed: [],
  maxBytes: 1 << 16,
  run(bytes) {
    const said = text(bytes);
    for (const mac of readPermanent(said).values()) must(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(mac), 'a MAC is a MAC');
    const card = readEthtool(said);
    must(line(card.firmware), 'firmware is a short line');
    must(/^[a-z]{0,16}$/.test(card.wolSupported ?? '') && /^[a-z]{0,16}$/.test(card.wolEnabled ?? ''), 'letters');
    for (const list of readNeighbours(said).values()) {
      must(list.length <= 16, 'neighbours of a card are bounded');
      for (const {
        managementAddresses,
        vlan,
        ttlS,
        capabilities,
        vlans,
        maxFrameBytes,
        aggregated,
        ...texts
      } of list) {
        must(managementAddresses.length <= 16 && managementAddresses.every(line), 'addresses are short lines');
        must(
          (vlan ?? 0) <= 4094 && (ttlS ?? 0) <= 65_535 && (maxFrameBytes ?? 0) <= 65_535,
          'numbers are in their range',
        );
        must(capabilities.length <= 16 && capabilities.every(line), 'capabilities are short lines');
        must(
          vlans.length <= 64 && vlans.every(({ id, name }) => id >= 1 && id <= 4094 && line(name)),
          'VLANs are VLANs',
        );
        must(aggregated !== false, 'nobody says that a port is alone');
        must(Object.values(texts).every(line), 'what the LAN says is short lines');
      }
    }
    const health = readSmart(said);
    must([undefined, 'ok', 'warn', 'fail'].includes(health?.verdict), 'a verdict is one of three');
    must((health?.percentUsed ?? 0) <= 255 && (health?.mediaErrors ?? 0n) >= 0n, 'counts are counts');
    const lan = readLan(1, said);
    must(/^$|^\d+\.\d+\.\d+\.\d+(\/\d+)?$/.test(lan?.address4 ?? ''), 'an address is an address');
    must((lan?.vlan ?? 1) >= 1 && (lan?.vlan ?? 1) <= 4094, 'a VLAN is in its range');
    must(readLan6(said).length <= 64, 'addresses are bounded');
    const speed = readLinkSpeed(said);
    must(speed === undefined || (Number.isInteger(speed) && speed >= 0), 'a link speed is a whole number');
    defaultRoute(said);
    usedLinks(said);
    const complaint = kernelError({ monotonicMs: said.length, severity: 3, text: said });
    must(complaint.text.length <= 1024 && !/[\x00-\x1f]/.test(complaint.text), 'what a driver says is one line');
    const measured = readMeasured('temp', said)?.temperatureMillicelsius;
    must(measured === undefined || Number.isInteger(measured), 'a temperature is a whole number');
  },
};
