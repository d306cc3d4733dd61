// Who is at the other end of the cable, as lldpd heard it (IEEE 802.1AB). Anybody on the LAN can say anything.
import type { LldpNeighbour } from '@nixie/proto/inventory';
import { cleanText } from './text.ts';
import { readJson, type Tree } from './tree.ts';

type Words = { readonly [name: string]: unknown };

/** `json0` puts every element into a list, also where there is one of it. */
const listOf = (value: unknown): Words[] =>
  (Array.isArray(value) ? value : [value]).filter((each): each is Words => typeof each === 'object' && each !== null);
const textOf = (value: unknown): string | undefined => {
  const found = typeof value === 'object' ? listOf(value)[0]?.value : value;
  return typeof found === 'string' || typeof found === 'number' ? cleanText(String(found)) : undefined;
};
const numberOf = (value: unknown, most: number): number | undefined => {
  const found = textOf(value);
  return found !== undefined && /^\d{1,9}$/.test(found) && Number(found) <= most ? Number(found) : undefined;
};

/** `lldpcli -f json0 show neighbors`. @returns neighbours by card; what is not understood is left out. Never throws */
export function readNeighbours(text: string): Map<string, LldpNeighbour[]> {
  const found = new Map<string, LldpNeighbour[]>();
  const report = listOf(readJson(text))[0];
  for (const each of listOf(report?.lldp)
    .flatMap(({ interface: cards }) => listOf(cards))
    .slice(0, 1024)) {
    const name = textOf(each.name);
    if (name === undefined) continue;
    const chassis = listOf(each.chassis)[0] ?? {};
    const port = listOf(each.port)[0] ?? {};
    const [chassisId, portId] = [listOf(chassis.id)[0], listOf(port.id)[0]];
    const vlans = listOf(each.vlan);
    const pvid = vlans.find(({ pvid: own }) => own === true || own === 'yes');
    const list = found.get(name) ?? [];
    list.push({
      chassisId: textOf(chassisId?.value),
      chassisIdType: textOf(chassisId?.type),
      portId: textOf(portId?.value),
      portIdType: textOf(portId?.type),
      portDescription: textOf(port.descr),
      systemName: textOf(chassis.name),
      systemDescription: textOf(chassis.descr),
      managementAddresses: listOf(chassis['mgmt-ip'])
        .flatMap(({ value }) => textOf(value) ?? [])
        .slice(0, 16),
      vlan: numberOf(pvid?.['vlan-id'], 4094),
      ttlS: numberOf(port.ttl, 65_535),
      capabilities: listOf(chassis.capability)
        .flatMap(({ type, enabled }) => (enabled === true || enabled === 'on' ? (textOf(type) ?? []) : []))
        .slice(0, 16),
      vlans: vlans
        .flatMap((each) => {
          const id = numberOf(each['vlan-id'], 4094);
          return id === undefined || id === 0 ? [] : [{ id, name: textOf(each.value) }];
        })
        .slice(0, 64),
      maxFrameBytes: numberOf(port.mfs, 65_535),
      aggregated: listOf(port.aggregation).length > 0 || textOf(port.aggregation) !== undefined ? true : undefined,
    });
    found.set(name, list.slice(0, 16));
  }
  return found;
}

/** None where lldpd isn't there, or has heard nothing yet: switches speak every 30 seconds. */
export async function askNeighbours(tree: Tree): Promise<Map<string, LldpNeighbour[]>> {
  const text = await tree.program(['lldpcli', '-f', 'json0', 'show', 'neighbors'], 3000);
  if (text !== undefined && readJson(text) === undefined) tree.note('lldpcli', 'no-json');
  return readNeighbours(text ?? '');
}
