// How the machine reaches its own Redfish service: SMBIOS type 42 (DSP0134 7.43, DSP0270 clause 8).
import type { RedfishInterface } from '@nixie/proto/inventory';
import type { Structure } from './smbios.ts';
import { cleanText } from './text.ts';

const networkInterface = 0x40;
const redfishOverIp = 4;

/** Never throws; what is cut off or of another kind is left out. */
export function redfishInterfaces(structures: readonly Structure[]): RedfishInterface[] {
  const found: RedfishInterface[] = [];
  for (const { type, bytes } of structures) {
    if (type !== 42 || bytes[4] !== networkInterface || bytes.length < 7) continue;
    const dataLength = bytes[5]!;
    const device = { 2: 'usb', 3: 'pci', 4: 'usb', 5: 'pci' }[bytes[6]!] ?? 'other';
    let at = 6 + dataLength;
    const records = bytes[at] ?? 0;
    at += 1;
    for (let record = 0; record < records && at + 2 <= bytes.length; record += 1) {
      const [id, length] = [bytes[at]!, bytes[at + 1]!];
      const data = bytes.subarray(at + 2, at + 2 + length);
      at += 2 + length;
      if (id !== redfishOverIp || data.length < 91 || found.length >= 16) continue;
      const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
      const vlan = view.getUint32(86, true);
      found.push({
        device,
        hostAddress: readIp(data[17]!, data.subarray(18, 34)),
        serviceAddress: readIp(data[51]!, data.subarray(52, 68)),
        servicePort: view.getUint16(84, true) || undefined,
        serviceHost: cleanText(Buffer.from(data.subarray(91, 91 + data[90]!)).toString('latin1')),
        serviceVlan: vlan > 0 && vlan <= 4094 ? vlan : undefined,
      });
    }
  }
  return found;
}

/** @param format 1: the first four bytes are IPv4; 2: IPv6 */
function readIp(format: number, bytes: Uint8Array): string | undefined {
  if (bytes.every((byte) => byte === 0)) return undefined;
  if (format === 1) return [...bytes.subarray(0, 4)].join('.');
  if (format !== 2) return undefined;
  const groups: string[] = [];
  for (let at = 0; at < 16; at += 2) groups.push(((bytes[at]! << 8) | bytes[at + 1]!).toString(16));
  return groups.join(':');
}
