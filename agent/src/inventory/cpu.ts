// The processors.
import type { Cpu } from '@nixie/proto/inventory';
import { cleanText, countList } from './text.ts';
import type { Tree } from './tree.ts';

export async function collectCpu(tree: Tree): Promise<Cpu> {
  const info = (await tree.text('/proc/cpuinfo')) ?? '';
  const first = (name: string): string | undefined => {
    const found = new RegExp(`^${name}\\s*:(.*)$`, 'm').exec(info)?.[1];
    return found === undefined ? undefined : cleanText(found);
  };
  const base = '/sys/devices/system/cpu';
  const sockets = new Set<string>();
  const cores = new Set<string>();
  let counted = 0;
  for (const name of await tree.list(base)) {
    if (!/^cpu\d+$/.test(name)) continue;
    const topology = (file: string): Promise<string | undefined> => tree.value(`${base}/${name}/topology/${file}`);
    const [socket, core] = [await topology('physical_package_id'), await topology('core_id')];
    // A processor that is offline has no topology; -1 is "not known".
    if (socket === undefined || core === undefined || socket === '-1') continue;
    counted += 1;
    sockets.add(socket);
    cores.add([socket, (await topology('die_id')) ?? '0', core].join());
  }
  const khz = await tree.count(`${base}/cpu0/cpufreq/cpuinfo_max_freq`);
  const listed = info.match(/^processor\s*:/gm)?.length;
  return {
    vendor: first('vendor_id') ?? first('CPU implementer'),
    model: first('model name') ?? first('Model') ?? first('cpu model'),
    sockets: sockets.size || undefined,
    cores: cores.size || undefined,
    threads: countList(await tree.value(`${base}/online`)) ?? (counted || listed || undefined),
    maxMhz: khz === undefined ? undefined : Math.round(khz / 1000),
    flags: (first('flags') === undefined
      ? (/^Features\s*:(.*)$/m.exec(info)?.[1] ?? '')
      : /^flags\s*:(.*)$/m.exec(info)![1]!
    )
      .split(/\s+/)
      .filter((flag) => /^[a-z0-9_.]{1,40}$/i.test(flag))
      .slice(0, 512),
    caches: [],
    vulnerabilities: [],
  };
}
