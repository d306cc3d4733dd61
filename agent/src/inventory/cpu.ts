// The processors.
import type { Cpu, CpuCache } from '@nixie/proto/inventory';
import { numberAt, readStructures, stringAt } from './smbios.ts';
import { cleanText, countList } from './text.ts';
import type { Tree } from './tree.ts';

const base = '/sys/devices/system/cpu';

export async function collectCpu(tree: Tree): Promise<Cpu> {
  const info = (await tree.text('/proc/cpuinfo')) ?? '';
  const first = (name: string): string | undefined => {
    const found = new RegExp(`^${name}\\s*:(.*)$`, 'm').exec(info)?.[1];
    const value = found === undefined ? undefined : cleanText(found);
    // The kernel's word for it, and what some hypervisors show in the place of a microcode's revision.
    return value === undefined || /^(?:unknown|0xf{8})$/i.test(value) ? undefined : value;
  };
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
  const khz = await tree.small(`${base}/cpu0/cpufreq/cpuinfo_max_freq`, 1000);
  const listed = info.match(/^processor\s*:/gm)?.length;
  const online = await tree.numbers(`${base}/online`);
  const firmware = await byFirmware(tree);
  return {
    vendor: first('vendor_id') ?? firmware.vendor ?? first('CPU implementer'),
    model: first('model name') ?? first('Model') ?? first('cpu model') ?? firmware.model,
    sockets: sockets.size || undefined,
    cores: cores.size || undefined,
    threads: countList(online) ?? (counted || listed || undefined),
    maxMhz: khz === undefined ? undefined : Math.round(khz / 1000),
    flags: (/^(?:flags|Features)\s*:(.*)$/m.exec(info)?.[1] ?? '')
      .split(/\s+/)
      .filter((flag) => /^[a-z0-9_.]{1,40}$/i.test(flag))
      .slice(0, 512),
    family: first('cpu family') ?? first('CPU architecture'),
    stepping: first('stepping') ?? first('CPU revision'),
    microcode: first('microcode'),
    online,
    present: await tree.numbers(`${base}/present`),
    possible: await tree.numbers(`${base}/possible`),
    smtActive: await tree.flag(`${base}/smt/active`),
    caches: [],
    vulnerabilities: [],
  };
}

/** What the firmware calls the first processor (type 4, DSP0134 7.5): on ARM nobody else knows its name. */
async function byFirmware(tree: Tree): Promise<{ vendor?: string | undefined; model?: string | undefined }> {
  const table = (await tree.raw('/sys/firmware/dmi/tables/DMI')) ?? new Uint8Array();
  // Bit 6 of the status: the socket is populated.
  const fitted = readStructures(table).find((each) => each.type === 4 && ((numberAt(each, 0x18, 1) ?? 0) & 0x40) !== 0);
  return fitted === undefined ? {} : { vendor: stringAt(fitted, 7), model: stringAt(fitted, 0x10) };
}

/** Caches and known weaknesses: a file for each cache of each thread. */
export async function collectCpuDetails(tree: Tree): Promise<Pick<Cpu, 'caches' | 'vulnerabilities'>> {
  const kinds = new Map<string, { cache: CpuCache; shared: Set<string> }>();
  const threads = (await tree.list(base)).filter((name) => /^cpu\d+$/.test(name)).slice(0, 4096);
  await Promise.all(
    threads.map(async (thread) => {
      for (const index of await tree.list(`${base}/${thread}/cache`)) {
        if (!/^index\d+$/.test(index)) continue;
        const of = (file: string): Promise<string | undefined> =>
          tree.value(`${base}/${thread}/cache/${index}/${file}`);
        const level = await tree.small(`${base}/${thread}/cache/${index}/level`, 1);
        const [type, size, shared] = [await of('type'), readKib(await of('size')), await of('shared_cpu_list')];
        if (level === undefined) continue;
        const key = `${level} ${type} ${size}`;
        const known = kinds.get(key) ?? {
          cache: { level, type: type?.toLowerCase(), sizeBytes: size },
          shared: new Set<string>(),
        };
        if (shared !== undefined) known.shared.add(shared);
        kinds.set(key, known);
      }
    }),
  );
  const caches = [...kinds].sort(([a], [b]) => (a < b ? -1 : 1));
  const vulnerabilities = [];
  for (const name of (await tree.list(`${base}/vulnerabilities`)).slice(0, 128)) {
    const state = await tree.value(`${base}/vulnerabilities/${name}`);
    if (state !== undefined) vulnerabilities.push({ name, state });
  }
  return {
    caches: caches.map(([, { cache, shared }]) => ({ ...cache, count: shared.size || undefined })),
    vulnerabilities,
  };
}

/** `16384K` */
function readKib(text: string | undefined): bigint | undefined {
  const kib = /^(\d{1,12})K$/.exec(text ?? '')?.[1];
  return kib === undefined || /^0+$/.test(kib) ? undefined : BigInt(kib) * 1024n;
}
