// Places on the PCI bus.

/** The nearest PCI function above a device: virtio and USB hang one or more levels below it. */
export function pciAddress(device: string): string | undefined {
  return device.match(/[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7](?=\/|$)/g)?.pop();
}
