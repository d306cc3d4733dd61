// The network cards as the kernel knows them now.
import { networkInterfaces } from 'node:os';

export interface OwnAddress {
  readonly nic: string;
  readonly mac: string;
  readonly address: string;
  /** `10.77.0.9/24` */
  readonly cidr: string;
}

/** Addresses with their card; loopback and IPv6 link-local ones are left out. */
export function ownAddresses(list = networkInterfaces()): OwnAddress[] {
  return Object.entries(list).flatMap(([nic, entries]) =>
    (entries ?? [])
      .filter(({ internal, address }) => !internal && !/^fe80:/i.test(address))
      .map(({ address, cidr, mac }) => ({ nic, mac, address, cidr: cidr ?? address })),
  );
}

/** True for loopback, so that an agent beside its controller works. */
export function holdsAddress(address: string, list = networkInterfaces()): boolean {
  const [plain] = address.split('%');
  return Object.values(list).some((entries) => entries?.some((entry) => entry.address === plain));
}
