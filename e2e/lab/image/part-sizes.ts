// How large the parts of an installer are, once it is built.
import { statSync } from 'node:fs';
import { join } from 'node:path';

export interface PartSizes {
  /** Bytes. */
  readonly kernel: number;
  readonly initrd: number;
  /** 0: it has none. */
  readonly image: number;
}

/**
 * Builds what isn't built yet.
 * @param installer a flake reference with its fragment
 * @param inStore runs a program that sees the store; its stdout
 * @param onHost where a store path lies for programs outside
 */
export async function partSizes(
  installer: string,
  inStore: (argv: readonly string[]) => Promise<string>,
  onHost: (storePath: string) => string,
): Promise<PartSizes> {
  const built = await inStore(['nix', 'build', '--no-link', '--json', `${installer}.config.system.build.nixie`]);
  const { out } = (JSON.parse(built) as [{ outputs: { out: string } }])[0].outputs;
  const bytes = async (file: string): Promise<number> => {
    const path = (await inStore(['readlink', '-f', join(out, file)])).trim();
    return statSync(onHost(path), { throwIfNoEntry: false })?.size ?? 0;
  };
  return { kernel: await bytes('kernel'), initrd: await bytes('initrd'), image: await bytes('image') };
}
