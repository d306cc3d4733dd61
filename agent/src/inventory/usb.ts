// What hangs on USB.
import type { UsbDevice } from '@nixie/proto/inventory';
import { withoutPlaceholder } from './text.ts';
import type { Tree } from './tree.ts';

/** By port. */
export async function collectUsb(tree: Tree): Promise<UsbDevice[]> {
  const bus = '/sys/bus/usb/devices';
  const found: UsbDevice[] = [];
  for (const port of await tree.list(bus)) {
    // Interfaces of devices have a colon, root hubs are called usb1.
    if (!/^\d+-\d+(\.\d+)*$/.test(port) || found.length >= 1024) continue;
    const at = `${bus}/${port}`;
    const vendorId = await tree.hex(`${at}/idVendor`, 4);
    if (vendorId === undefined || vendorId === '1d6b') continue;
    const text = async (file: string): Promise<string | undefined> =>
      withoutPlaceholder(await tree.value(`${at}/${file}`));
    // Low speed is 1.5 Mbit/s.
    const speed = /^(\d{1,6}(?:\.\d)?)$/.exec((await tree.value(`${at}/speed`)) ?? '')?.[1];
    found.push({
      port,
      vendorId,
      productId: await tree.hex(`${at}/idProduct`, 4),
      vendor: await text('manufacturer'),
      product: await text('product'),
      serial: await text('serial'),
      deviceClass: await tree.hex(`${at}/bDeviceClass`, 2),
      speedKbps: speed === undefined || Number(speed) === 0 ? undefined : Math.round(Number(speed) * 1000),
    });
  }
  return found;
}
