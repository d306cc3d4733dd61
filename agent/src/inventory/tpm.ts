// The trusted platform module.
import type { Tpm } from '@nixie/proto/inventory';
import { readStructures } from './smbios.ts';
import { cleanText } from './text.ts';
import type { Tree } from './tree.ts';

/** Undefined where the kernel couldn't know of one. */
export async function collectTpm(tree: Tree): Promise<Tpm | undefined> {
  // The folder is made by the kernel's part for TPMs, whether or not it finds one.
  if ((await tree.real('/sys/class/tpm')) === undefined) return undefined;
  const name = (await tree.list('/sys/class/tpm')).find((each) => /^tpm\d+$/.test(each));
  if (name === undefined) return { present: false, pcrBanks: [] };
  const at = `/sys/class/tpm/${name}`;
  const major = await tree.count(`${at}/tpm_version_major`);
  const caps = await tree.text(`${at}/device/caps`);
  return {
    present: true,
    // Older kernels have no such file; only TPM 1.2 has the other.
    versionMajor: major === 1 || major === 2 ? major : caps === undefined ? undefined : 1,
    pcrBanks: (await tree.list(at)).flatMap((each) => /^pcr-([a-z0-9_]{1,32})$/.exec(each)?.[1] ?? []),
    vendor: (await byFirmware(tree)) ?? readVendor(/^Manufacturer: 0x([0-9a-f]{8})$/m.exec(caps ?? '')?.[1]),
  };
}

/** Type 43 (DSP0134 7.44): four characters. */
async function byFirmware(tree: Tree): Promise<string | undefined> {
  const table = (await tree.raw('/sys/firmware/dmi/tables/DMI')) ?? new Uint8Array();
  const { bytes } = readStructures(table).find(({ type }) => type === 43) ?? {};
  return bytes === undefined || bytes.length < 8
    ? undefined
    : readVendor(Buffer.from(bytes.subarray(4, 8)).toString('hex'));
}

function readVendor(hex: string | undefined): string | undefined {
  return hex === undefined ? undefined : cleanText(Buffer.from(hex, 'hex').toString('latin1'));
}
