// What an installer image holds where text and headers are read: init, kernel parameters and the kernel's first bytes, divided by NUL FF.
import { kernelPlatform, readInstallerFiles, type StoreReader } from '../../../controller/src/nix/installer.ts';
import { bytesOf, type Target } from '../target.ts';

const out = '/nix/store/00000000000000000000000000000000-x';
const output = { drv: `${out}.drv`, out };

export const target: Target = {
  name: 'installer-image',
  seeds: [
    bytesOf(`${out}/init\n\0\xff`),
    Uint8Array.from(Buffer.from(`${out}/init\n\0\xffloglevel=4 quiet\n\0\xffMZ`, 'latin1')),
  ],
  dictionary: [Uint8Array.of(0, 255), 'HdrS', 'ARMd', '/nix/store/', ' ', '\n'],
  allowed: [],
  async run(bytes) {
    const cut = bytes.indexOf(0) < 0 ? bytes.length : bytes.indexOf(0);
    const rest = bytes.subarray(cut + 2);
    const cut2 = rest.indexOf(0) < 0 ? rest.length : rest.indexOf(0);
    const parts: Record<string, Uint8Array> = {
      [`${out}/init`]: bytes.subarray(0, cut),
      [`${out}/kernel-params`]: rest.subarray(0, cut2),
      [`${out}/kernel`]: rest.subarray(cut2 + 2),
      [`${out}/initrd`]: bytes,
      [`${out}/image`]: bytes.subarray(1),
    };
    const store: StoreReader = {
      realPath: async (path) => path,
      linkTarget: async () => undefined,
      stat: async (path) => ({ bytes: parts[path]!.length, isFile: true }),
      head: async (path, length) => parts[path]!.subarray(0, length),
      sha256: async () => 'a'.repeat(64),
      chunkHashes: async () => ({ sha256: 'a'.repeat(64), chunks: ['b'.repeat(64)] }),
    };
    kernelPlatform(bytes);
    await readInstallerFiles('x86_64-linux', { form: 'bundle', bundle: output }, store).catch((error: Error) => {
      // The rules speak in sentences that begin with the file; any other error is a bug.
      if (error.constructor !== Error || !/^(?:init|initrd|image|kernel|cannot read|the installer)/.test(error.message))
        throw error;
    });
  },
};
