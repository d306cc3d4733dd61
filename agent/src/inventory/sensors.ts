// What the machine feels: temperatures, fans, voltages, currents and powers of the kernel's sensors (Documentation/hwmon/sysfs-interface.rst).
import type { Sensor } from '@nixie/proto/inventory';
import { pciAddress } from './pci.ts';
import type { Tree } from './tree.ts';

const mostSensors = 1024;

/** A chip without anything on a channel says 127 degrees, -62, -128 and the like; no board has such parts. */
const coldest = -60_000;
const hottest = 126_000;

type Value = Pick<
  Sensor,
  'temperatureMillicelsius' | 'fanRpm' | 'voltageMillivolts' | 'currentMilliamperes' | 'powerMicrowatts'
>;

/** What stands in the file of a channel; undefined for what no sensor can have measured. */
export function readMeasured(kind: string, text: string | undefined): Value | undefined {
  if (text === undefined || !/^-?\d{1,12}$/.test(text)) return undefined;
  const value = Number(text);
  const fits = Math.abs(value) < 2 ** 31;
  switch (kind) {
    case 'temp':
      return value > coldest && value < hottest ? { temperatureMillicelsius: value } : undefined;
    case 'fan':
      return value >= 0 && value < 1_000_000 ? { fanRpm: value } : undefined;
    case 'in':
      return fits ? { voltageMillivolts: value } : undefined;
    case 'curr':
      return fits ? { currentMilliamperes: value } : undefined;
    case 'power':
      return value >= 0 ? { powerMicrowatts: BigInt(value) } : undefined;
    default:
      return undefined;
  }
}

/** @param into filled step by step: a chip that hangs costs what comes after it, not what came before */
export async function collectSensors(tree: Tree, into: Sensor[]): Promise<void> {
  const folder = '/sys/class/hwmon';
  const chips = (await tree.list(folder)).filter((name) => /^hwmon\d{1,6}$/.test(name));
  for (const entry of chips.sort((a, b) => Number(a.slice(5)) - Number(b.slice(5)))) {
    const base = `${folder}/${entry}`;
    const chip = await tree.value(`${base}/name`);
    if (chip === undefined) continue;
    const place = await tree.real(base);
    const on = place === undefined ? undefined : pciAddress(place);
    for (const file of await tree.list(base)) {
      const [, channel, kind] = /^((temp|fan|in|curr|power)\d{1,4})_(?:input|average)$/.exec(file) ?? [];
      if (channel === undefined || kind === undefined || into.length >= mostSensors) continue;
      const at = `${base}/${channel}`;
      // Something is broken there, and what it says is nothing.
      if ((await tree.flag(`${at}_fault`)) === true) continue;
      const value = readMeasured(kind, await tree.value(`${base}/${file}`));
      if (value === undefined) continue;
      const critical = kind === 'temp' ? readMeasured(kind, await tree.value(`${at}_crit`)) : undefined;
      into.push({
        chip,
        label: (await tree.value(`${at}_label`)) ?? channel,
        ...value,
        criticalMillicelsius: critical?.temperatureMillicelsius,
        alarm: (await tree.flag(`${at}_alarm`)) ?? (await tree.flag(`${at}_crit_alarm`)),
        pciAddress: on,
      });
    }
  }
}
