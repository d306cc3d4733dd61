// A hosts file made from machines that were read: names, MACs, platform and where the inventory lies. Pure.
import type { Inventory } from '@nixie/proto/inventory';
import type { System } from './host.ts';
import { type Mac, parseMac } from './mac.ts';

/** A machine that was read. */
export interface ReadMachine {
  readonly name: string;
  /** That it booted by. */
  readonly mac: Mac;
  readonly inventory: Inventory;
}

const mostMacs = 64;

/**
 * A name that stays the same from run to run: product and serial number where the machine has both, else its MAC.
 * @param taken names of other machines
 */
export function nameFor(mac: Mac, { system }: Inventory, taken: ReadonlySet<string>): string {
  const digits = mac.replaceAll(':', '');
  const [product, serial] = [slug(system?.product), slug(system?.serial)];
  const made = product !== '' && serial !== '' ? `${product.slice(0, 40)}-${serial.slice(0, 22)}` : `machine-${digits}`;
  // Names are those of nixosConfigurations and of hosts: a letter or digit at both ends.
  const name = made.replace(/-+$/, '');
  return taken.has(name) ? `${name.slice(0, 50).replace(/-+$/, '')}-${digits}` : name;
}

function slug(text: string | undefined): string {
  return (text ?? '')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
}

/** Text of hosts.json: valid, whatever machines say of themselves. A card that several machines have is nobody's. */
export function hostsSkeleton(machines: readonly ReadMachine[]): string {
  const owners = new Map<Mac, Set<string>>();
  for (const machine of machines)
    for (const mac of cardsOf(machine)) owners.set(mac, (owners.get(mac) ?? new Set()).add(machine.name));
  const booted = new Map(machines.map(({ name, mac }) => [mac, name]));
  const entries = machines.map((machine) => {
    const { name, mac, inventory } = machine;
    const others = cardsOf(machine).filter(
      (card) => card !== mac && owners.get(card)?.size === 1 && (booted.get(card) ?? name) === name,
    );
    const macs = [mac, ...others].slice(0, mostMacs);
    const system: System = inventory.boot?.arch === 'aarch64' ? 'aarch64-linux' : 'x86_64-linux';
    return [
      name,
      {
        ...(macs.length === 1 ? { mac_address: mac } : { mac_addresses: macs }),
        ...(system === 'x86_64-linux' ? {} : { system }),
        inventory: `${name}/inventory.json`,
      },
    ];
  });
  return `${JSON.stringify(Object.fromEntries(entries), null, 2)}\n`;
}

function cardsOf({ inventory }: ReadMachine): Mac[] {
  const found = inventory.nics.flatMap((nic) => parseMac(nic.permanentMac ?? nic.mac ?? '') ?? []);
  return [...new Set(found)];
}
