// Who made the machine: the kernel's reading of SMBIOS, or the device tree where there is none.
import type { System } from '@nixie/proto/inventory';
import { cleanText, readBiosDate, readUuid, withoutPlaceholder } from './text.ts';
import type { Tree } from './tree.ts';

export async function collectSystem(tree: Tree): Promise<System> {
  const dmi = async (file: string): Promise<string | undefined> =>
    withoutPlaceholder(await tree.value(`/sys/class/dmi/id/${file}`));
  const chassis = Number(await tree.count('/sys/class/dmi/id/chassis_type'));
  return {
    vendor: await dmi('sys_vendor'),
    product: (await dmi('product_name')) ?? (await tree.value('/proc/device-tree/model')),
    version: await dmi('product_version'),
    serial: (await dmi('product_serial')) ?? (await tree.value('/proc/device-tree/serial-number')),
    uuid: readUuid(await tree.value('/sys/class/dmi/id/product_uuid')),
    sku: await dmi('product_sku'),
    family: await dmi('product_family'),
    boardVendor: await dmi('board_vendor'),
    boardProduct: await dmi('board_name'),
    boardVersion: await dmi('board_version'),
    boardSerial: await dmi('board_serial'),
    chassisVendor: await dmi('chassis_vendor'),
    // 1 is "other", 2 "unknown" (SMBIOS 7.4.1).
    chassisType: chassis > 0 && chassis !== 2 && chassis < 128 ? chassis : undefined,
    chassisSerial: await dmi('chassis_serial'),
    biosVendor: await dmi('bios_vendor'),
    biosVersion: await dmi('bios_version'),
    biosDate: readBiosDate(await tree.value('/sys/class/dmi/id/bios_date')),
    biosRelease: await dmi('bios_release'),
    boardAssetTag: await dmi('board_asset_tag'),
    chassisVersion: await dmi('chassis_version'),
    chassisAssetTag: await dmi('chassis_asset_tag'),
    compatible: ((await tree.text('/proc/device-tree/compatible')) ?? '')
      .split('\0')
      .flatMap((word) => cleanText(word) ?? [])
      .slice(0, 32),
  };
}
