// The demo's flags.
import { parseArgs } from 'node:util';
import type { Firmware } from './qemu.ts';

export interface DemoOptions {
  /** One per machine. */
  readonly firmware: readonly Firmware[];
  readonly dhcp: 'proxy' | 'range';
  /** The machines are in another subnet, behind `nixie relay`, and nothing is routed. */
  readonly relay: boolean;
  readonly ra: boolean;
  readonly keep: boolean;
  readonly again: boolean;
  readonly forgetful: boolean;
}

const most = 8;

export const demoUsage = `npm run demo [-- FLAGS]
  --machines N           how many, 1 to ${most}; default: as many as --firmware names, else 1
  --firmware LIST        of uefi, bios, http; repeated when it is shorter than N; default uefi
  --dhcp proxy|range     beside the LAN's DHCP server (default), or as its only one
  --relay                the machines are in another subnet, to which nothing is routed: all goes by \`nixie relay\`
  --ra                   the LAN has an IPv6 router: the platform's iPXE starts 13 s sooner
  --again                then run nixie a second time against the running machines
  --forgetful            then power off, forget all state, boot from the network first, and run nixie again
  --keep                 keep the folder with logs, capture and disks`;

/** Options, or a text to print: the usage, or what is wrong. */
export function readDemoOptions(argv: readonly string[]): DemoOptions | string {
  let values: Record<string, string | boolean | undefined>;
  try {
    values = parseArgs({
      args: [...argv],
      options: {
        machines: { type: 'string' },
        firmware: { type: 'string', default: 'uefi' },
        dhcp: { type: 'string', default: 'proxy' },
        relay: { type: 'boolean', default: false },
        ra: { type: 'boolean', default: false },
        again: { type: 'boolean', default: false },
        forgetful: { type: 'boolean', default: false },
        keep: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }).values;
  } catch (error) {
    return `demo: ${error instanceof Error ? error.message : String(error)}\n\n${demoUsage}`;
  }
  if (values.help === true) return demoUsage;
  const kinds = String(values.firmware).split(',');
  const unknown = kinds.find((kind) => kind !== 'uefi' && kind !== 'bios' && kind !== 'http');
  if (unknown !== undefined) return `demo: --firmware: ${JSON.stringify(unknown)} is none of uefi, bios, http`;
  if (values.dhcp !== 'proxy' && values.dhcp !== 'range') {
    return `demo: --dhcp: ${JSON.stringify(values.dhcp)} is neither proxy nor range`;
  }
  const machines = values.machines === undefined ? kinds.length : Number(values.machines);
  if (!Number.isInteger(machines) || machines < 1 || machines > most) {
    return `demo: --machines: ${JSON.stringify(values.machines)} is not a number from 1 to ${most}`;
  }
  return {
    firmware: Array.from({ length: machines }, (_, i) => kinds[i % kinds.length] as Firmware),
    dhcp: values.dhcp,
    relay: values.relay === true,
    ra: values.ra === true,
    keep: values.keep === true,
    again: values.again === true,
    forgetful: values.forgetful === true,
  };
}
