// The board management controller: what the kernel says of it, its addresses by ipmitool where that is installed, and how Redfish is reached.
// Users are neither read nor made.
import type { Bmc, BmcChannel } from '@nixie/proto/inventory';
import { readMac } from '../cmdline.ts';
import { hrMs } from '../machine-clock.ts';
import { redfishInterfaces } from './redfish.ts';
import { numberAt, readStructures } from './smbios.ts';
import { readUuid } from './text.ts';
import type { Tree } from './tree.ts';

/** A busy BMC takes seconds for an answer, a broken one for ever. */
const channelMs = 10_000;
const allChannelsMs = 30_000;

/** Undefined where nothing tells of one. */
export async function collectBmc(tree: Tree): Promise<Bmc | undefined> {
  const structures = readStructures((await tree.raw('/sys/firmware/dmi/tables/DMI')) ?? new Uint8Array());
  const told = structures.find(({ type }) => type === 38);
  const redfish = redfishInterfaces(structures);
  const platform = '/sys/devices/platform';
  const name = (await tree.list(platform)).find((each) => /^ipmi_bmc\.\d+$/.test(each));
  const device = (await tree.list('/sys/class/ipmi')).find((each) => /^ipmi\d+$/.test(each));
  if (told === undefined && name === undefined && device === undefined && redfish.length === 0) return undefined;
  const at = `${platform}/${name}`;
  const hex = async (file: string): Promise<number | undefined> => {
    const value = await tree.hex(`${at}/${file}`, 1);
    // Nothing but zeroes is "unspecified", and these two are reserved (IPMI 2.0, 20.1).
    return value === undefined || /^(?:0+|0?fffff|ffff)$/.test(value) ? undefined : Number.parseInt(value, 16);
  };
  // A BCD digit each: 0x20 is 2.0 (7.39).
  const revision = told && numberAt(told, 5, 1);
  return {
    ipmiVersion:
      (name === undefined ? undefined : await tree.value(`${at}/ipmi_version`)) ??
      (revision === undefined || revision === 0 ? undefined : `${revision >> 4}.${revision & 15}`),
    firmware: name === undefined ? undefined : await tree.value(`${at}/firmware_revision`),
    manufacturerId: name === undefined ? undefined : await hex('manufacturer_id'),
    productId: name === undefined ? undefined : await hex('product_id'),
    deviceId: name === undefined ? undefined : await tree.small(`${at}/device_id`, 1),
    guid: name === undefined ? undefined : readUuid(await tree.value(`${at}/guid`)),
    interface: told && { 1: 'kcs', 2: 'smic', 3: 'bt', 4: 'ssif' }[numberAt(told, 4, 1) ?? 0],
    channels: device === undefined ? [] : await readChannels(tree),
    redfish,
  };
}

async function readChannels(tree: Tree): Promise<BmcChannel[]> {
  const channels: BmcChannel[] = [];
  const until = hrMs() + allChannelsMs;
  // One after the other: the BMC has one ear. 0 is IPMB, 15 is the interface we speak over (IPMI 2.0, 6.3).
  for (let number = 1; number <= 14; number += 1) {
    if (hrMs() > until) {
      tree.note(`ipmitool lan print ${number}`, 'deadline');
      break;
    }
    const ask = (command: string): Promise<string | undefined> =>
      // It ends with 1 on a channel that is no LAN, which most are.
      tree.program(['ipmitool', '-I', 'open', command, 'print', String(number)], channelMs, (status) => status === 1);
    const text = await ask('lan');
    if (text === undefined) break;
    const channel = readLan(number, text);
    if (channel === undefined) continue;
    channels.push({ ...channel, addresses6: readLan6((await ask('lan6')) ?? '') });
  }
  return channels;
}

/** `ipmitool lan print`; undefined when it says nothing of a LAN. */
export function readLan(number: number, text: string): BmcChannel | undefined {
  const fields = new Map<string, string>();
  for (const line of text.slice(0, 65_536).split('\n')) {
    const [, name, value] = /^([A-Za-z0-9.() ]{1,40}?)\s*: (.*)$/.exec(line) ?? [];
    if (name !== undefined && value !== undefined && !fields.has(name)) fields.set(name, value.trim());
  }
  const mac = readMac(fields.get('MAC Address') ?? '');
  const address = readAddress4(fields.get('IP Address'));
  if (!fields.has('IP Address') && mac === undefined) return undefined;
  const bits = prefix(readAddress4(fields.get('Subnet Mask')));
  const vlan = /^\d{1,4}$/.exec(fields.get('802.1q VLAN ID') ?? '')?.[0];
  return {
    number,
    source: readSource(fields.get('IP Address Source')),
    address4: address === undefined ? undefined : bits === undefined ? address : `${address}/${bits}`,
    addresses6: [],
    mac: mac === '00:00:00:00:00:00' ? undefined : mac,
    vlan: vlan === undefined || Number(vlan) === 0 || Number(vlan) > 4094 ? undefined : Number(vlan),
    gateway4: readAddress4(fields.get('Default Gateway IP')),
  };
}

function readSource(text: string | undefined): string | undefined {
  if (text === undefined || /unspecified|unknown/i.test(text)) return undefined;
  if (/static/i.test(text)) return 'static';
  return /dhcp/i.test(text) ? 'dhcp' : /bios/i.test(text) ? 'bios' : 'other';
}

/** 0.0.0.0 is how a BMC says that it has none. */
function readAddress4(text: string | undefined): string | undefined {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/
    .exec(text ?? '')
    ?.slice(1)
    .map(Number);
  return parts?.every((part) => part <= 255) && parts.some((part) => part > 0) ? parts.join('.') : undefined;
}

function prefix(mask: string | undefined): number | undefined {
  if (mask === undefined) return undefined;
  const bits = mask
    .split('.')
    .map((part) => Number(part).toString(2).padStart(8, '0'))
    .join('');
  return /^1+0*$/.test(bits) ? bits.lastIndexOf('1') + 1 : undefined;
}

/** `ipmitool lan6 print`: blocks of addresses, each with a status. */
export function readLan6(text: string): string[] {
  const found = new Set<string>();
  for (const [, address] of text
    .slice(0, 262_144)
    .matchAll(/^[ \t]*Address:[ \t]+([0-9a-f:]{2,45}\/\d{1,3})[ \t]*$/gim))
    if (!/^[0:]+\//.test(address!)) found.add(address!.toLowerCase());
  return [...found].sort().slice(0, 64);
}
