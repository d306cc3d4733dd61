// One word for the hardware: equal for equal hardware, whatever runs on it, however it booted, wherever its cables lead.
import { createHash } from 'node:crypto';
import type { Inventory } from '@nixie/proto/inventory';

/**
 * SHA-256 in hex over what changes only when somebody opens the machine. Left out is what firmware updates, settings and kernels change
 * (versions, flags, drivers, link speeds), what hangs on USB, and what names are given.
 */
export function hashHardware({ system, cpu, memory, disks, nics, pci, tpm }: Inventory): string {
  const sorted = (rows: readonly unknown[]): string[] => rows.map((row) => JSON.stringify(row)).sort();
  const facts = [
    [system?.vendor, system?.product, system?.serial, system?.uuid, system?.boardProduct, system?.boardSerial],
    [cpu?.vendor, cpu?.model, cpu?.sockets, cpu?.cores, cpu?.present],
    [
      String(memory?.physicalBytes),
      sorted(
        (memory?.modules ?? []).map((each) => [each.locator, String(each.sizeBytes), each.serial, each.partNumber]),
      ),
    ],
    sorted(
      disks
        .filter(({ removable, transport }) => removable !== true && transport !== 'usb')
        .map((disk) => [disk.wwn, disk.serial, disk.model, disk.vendor, String(disk.sizeBytes), disk.pciAddress]),
    ),
    sorted(nics.map((nic) => [nic.permanentMac, nic.pciAddress, nic.vendorId, nic.deviceId])),
    sorted(
      pci.map((each) => [
        each.address,
        each.class,
        each.vendorId,
        each.deviceId,
        each.subsystemVendorId,
        each.subsystemDeviceId,
      ]),
    ),
    [tpm?.versionMajor],
  ];
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex');
}
