// An inventory as people read it. Pure; what a machine says of itself is cleaned, what isn't known is left out.
import type { Disk, Inventory, Nic, Sensor } from '@nixie/proto/inventory';
import { fails } from '../machine/disk-health.ts';
import { cell, clean, size, width } from './text.ts';

export interface NamedInventory {
  readonly host: string;
  /** Absent: nothing is known of it. */
  readonly inventory?: Inventory;
}

/** Disks, cards and modules of one machine that are listed one by one. */
const shown = 20;

/** One line for each machine under a head. */
export function inventoryTable(all: readonly NamedInventory[]): string[] {
  if (all.length === 0) return ['no machine is known'];
  const rows = [
    ['host', 'machine', 'processor', 'memory', 'disks', 'network cards'],
    ...all.map(({ host, inventory }) =>
      inventory === undefined
        ? [clean(host, 64), 'nothing is known of it yet']
        : [
            clean(host, 64),
            words([inventory.system?.vendor, inventory.system?.product]),
            words([counted(inventory.cpu?.threads, 'thread')]),
            memoryOf(inventory),
            inventory.disks
              .map((disk) => `${size(Number(disk.sizeBytes))}${fails(disk) ? ' (fails)' : ''}`)
              .join(' ') || 'none',
            String(inventory.nics.length),
          ],
    ),
  ];
  return columns(rows);
}

/** All that is known of one machine, in sections. */
export function inventoryPage({ host, inventory }: { host: string; inventory: Inventory }): string[] {
  const { system, cpu, memory, boot, disks, nics, tpm, bmc, arrays, errors } = inventory;
  const lines: string[] = [clean(host, 64)];
  const line = (name: string, ...parts: (string | number | undefined)[]) => {
    const text = words(parts.map((part) => (typeof part === 'number' ? String(part) : part)));
    if (text !== '') lines.push(`  ${cell(name, 10)} ${text}`);
  };
  line('system', system?.vendor, system?.product, system?.version, serialOf(system?.serial));
  line('uuid', system?.uuid);
  line('board', system?.boardVendor, system?.boardProduct, serialOf(system?.boardSerial));
  line('firmware', system?.biosVendor, system?.biosVersion, system?.biosDate, boot?.mode, secureBoot(boot?.secureBoot));
  line('kernel', boot?.kernel, boot?.arch, boot?.virtualisation);
  line(
    'processor',
    cpu?.model ?? cpu?.vendor,
    counted(cpu?.sockets, 'socket'),
    counted(cpu?.cores, 'core'),
    counted(cpu?.threads, 'thread'),
  );
  line('memory', memoryOf(inventory), memory?.ecc && `ECC ${memory.ecc}`);
  for (const each of (memory?.modules ?? []).filter((module) => module.fitted !== false).slice(0, shown))
    line(
      '',
      each.locator,
      each.sizeBytes === undefined ? undefined : binary(each.sizeBytes),
      each.type,
      each.speedMtps === undefined ? undefined : `${each.speedMtps} MT/s`,
      each.partNumber,
      serialOf(each.serial),
    );
  line('tpm', tpm?.versionMajor === undefined ? undefined : `version ${tpm.versionMajor}`, tpm?.vendor);
  line('bmc', bmc === undefined ? undefined : words(['IPMI', bmc.ipmiVersion, bmc.firmware]));
  for (const channel of bmc?.channels ?? []) line('', `channel ${channel.number}`, channel.address4, channel.mac);
  section(lines, 'disks', disks, diskRow);
  section(lines, 'arrays', arrays, (array) => [
    array.path,
    array.kind,
    array.level ?? '',
    array.sizeBytes === undefined ? '' : size(Number(array.sizeBytes)),
    array.members.join(' '),
  ]);
  section(lines, 'network cards', nics, nicRow);
  section(lines, 'sensors', inventory.sensors, sensorRow);
  // The newest are nearer to what is wrong now.
  section(lines, 'kernel errors', inventory.kernelErrors.toReversed(), ({ uptimeMs, text }) => [
    `${(Number(uptimeMs) / 1000).toFixed(1)} s`,
    text,
  ]);
  section(lines, 'could not be read', errors, ({ section: part, path, code }) => [part, path, code]);
  return lines.map((text) => clean(text, 400));
}

function section<T>(lines: string[], name: string, all: readonly T[], row: (part: T) => string[]): void {
  if (all.length === 0) return;
  lines.push(`  ${name}`, ...columns(all.slice(0, shown).map(row)).map((text) => `    ${text}`));
  if (all.length > shown) lines.push(`    and ${all.length - shown} more: --format json lists them all`);
}

function diskRow(disk: Disk): string[] {
  const kind = disk.media ?? (disk.rotational === undefined ? '' : disk.rotational ? 'rotational' : 'not rotational');
  const state = [
    fails(disk) ? 'SAYS THAT IT FAILS' : disk.health?.verdict === 'warn' ? 'its SMART warns' : '',
    disk.removable === true ? 'removable' : '',
    disk.readOnly === true ? 'read-only' : '',
    disk.mountedAt.length > 0 ? `in use at ${disk.mountedAt.join(' ')}` : '',
    disk.hasData === undefined ? 'could not be read' : disk.hasData ? 'holds data' : 'blank',
    disk.nixosHost === undefined ? '' : `NixOS of ${JSON.stringify(disk.nixosHost)}`,
    disk.paths.length < 2
      ? ''
      : `${disk.paths.length} ways${disk.multipath === undefined ? ' that nothing joins' : ''}`,
  ];
  const name = disk.byId[0] ?? disk.byPath ?? '';
  return [
    disk.path,
    size(Number(disk.sizeBytes)),
    disk.transport ?? '',
    kind,
    words([disk.vendor, disk.model]),
    disk.serial ?? disk.wwn ?? '',
    state.filter((each) => each !== '').join(', '),
    name,
  ];
}

function nicRow(nic: Nic): string[] {
  const link = nic.carrier === undefined ? '' : nic.carrier ? 'link' : 'no link';
  const speed = nic.speedMbps === undefined ? '' : `${nic.speedMbps} Mbit/s`;
  const neighbour = nic.lldp[0];
  return [
    nic.name,
    nic.permanentMac ?? nic.mac ?? '',
    nic.driver ?? '',
    nic.pciAddress ?? '',
    [link, speed].filter((each) => each !== '').join(' '),
    nic.addresses.join(' '),
    [nic.booted === true ? 'booted' : '', nic.reached === true ? 'reached the controller' : '']
      .filter((each) => each !== '')
      .join(', '),
    neighbour === undefined ? '' : `switch ${words([neighbour.systemName ?? neighbour.chassisId, neighbour.portId])}`,
  ];
}

function sensorRow(sensor: Sensor): string[] {
  const { temperatureMillicelsius: heat, fanRpm, voltageMillivolts, currentMilliamperes, powerMicrowatts } = sensor;
  const thousandths = (value: number | undefined, unit: string) =>
    value === undefined ? '' : `${(value / 1000).toFixed(1)} ${unit}`;
  const measured = [
    thousandths(heat, '°C'),
    fanRpm === undefined ? '' : `${fanRpm} rpm`,
    thousandths(voltageMillivolts, 'V'),
    thousandths(currentMilliamperes, 'A'),
    powerMicrowatts === undefined ? '' : thousandths(Number(powerMicrowatts) / 1000, 'W'),
  ];
  return [sensor.chip, sensor.label ?? '', measured.join(''), sensor.alarm === true ? 'ALARM' : ''];
}

/** Columns as wide as their widest cell, at most 40; the last as wide as it is. Empty columns are left out. */
function columns(rows: readonly (readonly string[])[]): string[] {
  const tidy = rows.map((row) => row.map((text) => clean(text, 200)));
  const count = Math.max(0, ...tidy.map((row) => row.length));
  const widths = Array.from({ length: count }, (_, i) =>
    Math.min(
      40,
      Math.max(
        0,
        ...tidy.filter((row) => row.length > i + 1 || row.length === count).map((row) => width(row[i] ?? '')),
      ),
    ),
  );
  return tidy.map((row) =>
    row
      .map((text, i) => (i === row.length - 1 ? text : widths[i] === 0 ? '' : `${cell(text, widths[i]!)}  `))
      .join('')
      .trimEnd(),
  );
}

function words(parts: readonly (string | undefined)[]): string {
  return parts.filter((part) => part !== undefined && part !== '').join(' ');
}

function memoryOf({ memory }: Inventory): string {
  const bytes = memory?.physicalBytes ?? memory?.usableBytes;
  return bytes === undefined ? '' : `${binary(bytes)}${memory?.physicalBytes === undefined ? ' usable' : ''}`;
}

function binary(bytes: bigint): string {
  const gib = Number(bytes) / 2 ** 30;
  return gib >= 1
    ? `${gib >= 100 ? Math.round(gib) : gib.toFixed(1).replace(/\.0$/, '')} GiB`
    : `${Math.round(gib * 1024)} MiB`;
}

const serialOf = (serial: string | undefined) => (serial === undefined ? undefined : `serial ${serial}`);
const counted = (count: number | undefined, what: string) =>
  count === undefined ? undefined : `${count} ${what}${count === 1 ? '' : 's'}`;
const secureBoot = (on: boolean | undefined) => (on === undefined ? undefined : `Secure Boot ${on ? 'on' : 'off'}`);
