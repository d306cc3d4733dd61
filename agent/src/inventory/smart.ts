// How a disk feels: smartctl where it is installed, and the temperatures that drivers give without it.
import type { Disk, DiskHealth } from '@nixie/proto/inventory';
import { readJson, type Tree } from './tree.ts';

type Words = { readonly [name: string]: unknown };
const words = (value: unknown): Words => (typeof value === 'object' && value !== null ? (value as Words) : {});
const whole = (value: unknown, most = Number.MAX_SAFE_INTEGER): number | undefined =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most ? value : undefined;
const large = (value: unknown): bigint | undefined => {
  const number = whole(value);
  return number === undefined ? undefined : BigInt(number);
};

/** `smartctl --json -H -A`; undefined when it says nothing of the disk. Never throws. */
export function readSmart(text: string): DiskHealth | undefined {
  const report = words(readJson(text));
  const nvme = words(report.nvme_smart_health_information_log);
  const table = words(report.ata_smart_attributes).table;
  const attribute = (id: number): unknown =>
    Array.isArray(table) ? words(words(table.map(words).find((each) => each.id === id)).raw).value : undefined;
  const celsius = words(report.temperature).current;
  const { passed } = words(report.smart_status);
  // smartctl(8), exit status: bits 3 to 5 are a failing disk and attributes below their thresholds, now or in the past.
  const status = whole(words(report.smartctl).exit_status, 255) ?? 0;
  const warned = (status & 0x30) !== 0 || (whole(nvme.critical_warning) ?? 0) !== 0;
  const health: DiskHealth = {
    verdict: passed === false ? 'fail' : passed === true ? (warned ? 'warn' : 'ok') : undefined,
    temperatureMillicelsius:
      typeof celsius === 'number' && celsius > -100 && celsius < 200 && celsius !== 0
        ? Math.round(celsius * 1000)
        : undefined,
    powerOnHours: large(words(report.power_on_time).hours),
    percentUsed: whole(nvme.percentage_used, 255) ?? whole(words(report.endurance_used).current_percent, 255),
    mediaErrors: large(nvme.media_errors),
    // Attribute 5 of ATA; SCSI's list of defects that grew.
    reallocatedSectors: large(attribute(5)) ?? large(report.scsi_grown_defect_list),
  };
  return Object.values(health).some((each) => each !== undefined) ? health : undefined;
}

/** By sensors of the kernel: NVMe has one, SATA has one where the module drivetemp is loaded. */
async function temperature(tree: Tree, name: string): Promise<number | undefined> {
  const device = `/sys/block/${name}/device`;
  for (const folder of [device, `${device}/hwmon`])
    for (const sensor of (await tree.list(folder)).filter((each) => /^hwmon\d+$/.test(each))) {
      const value = await tree.value(`${folder}/${sensor}/temp1_input`);
      if (value !== undefined && /^-?\d{1,6}$/.test(value)) return Number(value);
    }
  return undefined;
}

const mostAtOnce = 8;

/** Fills in the health of each disk; a disk that doesn't answer has none. */
export async function collectHealth(tree: Tree, disks: readonly Disk[]): Promise<void> {
  const left = [...disks];
  let installed = true;
  const work = async (): Promise<void> => {
    for (let disk = left.shift(); disk !== undefined; disk = left.shift()) {
      const kernels = await temperature(tree, disk.name);
      // Virtual disks have no such thing, and the program takes its time to say so.
      const argv = ['smartctl', '--json', '-H', '-A', disk.path];
      const text =
        installed && disk.transport !== 'virtio'
          ? // Bit 0: it didn't understand the command; bit 1: it couldn't open the disk.
            await tree.program(argv, 10_000, (status) => (status & 3) === 0)
          : undefined;
      if (text === undefined && tree.noted(argv[0]!, 'not-installed')) installed = false;
      const health = readSmart(text ?? '');
      const temperatureMillicelsius = health?.temperatureMillicelsius ?? kernels;
      if (health !== undefined || temperatureMillicelsius !== undefined)
        disk.health = { ...health, ...(temperatureMillicelsius === undefined ? {} : { temperatureMillicelsius }) };
    }
  };
  await Promise.all(Array.from({ length: Math.min(mostAtOnce, disks.length) }, work));
}
