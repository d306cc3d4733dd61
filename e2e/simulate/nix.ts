// nix as the controller sees it: one flake with some configurations that machines share, of which one may not build.
import { hintedDevice } from '../../controller/src/machine/root-disk.ts';
import type { NixCall, NixResult, RunNix } from '../../controller/src/nix/command.ts';
import type { StoreReader } from '../../controller/src/nix/installer.ts';

export const configurations = ['web', 'database', 'compute', 'storage', 'gateway'] as const;
export const broken = 'broken';
/** Its layout names the disk that the hints of a host mean. */
export const hinted = 'hinted';

export const declaredDisk = '/dev/nvme0n1';

const store = (name: string): string => {
  const letters = Buffer.from(`${name}-----------------------------------`).toString('hex').slice(0, 32);
  return `/nix/store/${letters}-${name}`;
};
const output = (name: string) => ({ drv: `${store(name)}.drv`, out: store(name) });

export const kernelPath = store('linux-6.1.0');
export const toplevelOf = (attr: string): string => store(`nixos-system-${attr}`);

export interface NixCounts {
  evaluations: number;
  builds: number;
}

/** @param pass lets virtual time go by, milliseconds */
export function simulatedNix(counts: NixCounts, pass: (milliseconds: number) => Promise<void>): RunNix {
  const exited = (stdout: string, code = 0, stderr = ''): NixResult => ({ ended: 'exited', code, stdout, stderr });
  return async (call: NixCall): Promise<NixResult> => {
    const [first] = call.args;
    if (call.program === 'nix') {
      await pass(500);
      if (first === 'flake') {
        const locked = { type: 'git', rev: '0123456789abcdef0123456789abcdef01234567', narHash: 'sha256-simulated' };
        return exited(JSON.stringify({ url: 'git+file:///flake', path: store('source'), locked }));
      }
      if (first === 'path-info') {
        const out = call.args.at(-1)!;
        return exited(JSON.stringify({ [out]: { narSize: 90_000_000 }, [kernelPath]: { narSize: 900_000_000 } }));
      }
      counts.evaluations++;
      await pass(20_000);
      const value = (attr: string) => ({
        value: {
          toplevel: output(`nixos-system-${attr}`),
          diskoScript: output(`disko-${attr}`),
          system: 'x86_64-linux',
          hostName: attr,
          diskDevices: { main: attr === hinted ? hintedDevice : declaredDisk },
        },
      });
      const installer = { value: { system: 'x86_64-linux', bundle: output('installer') } };
      const hosts = Object.fromEntries([...configurations, broken, hinted].map((attr) => [attr, value(attr)]));
      return exited(JSON.stringify({ names: Object.keys(hosts), hosts, installers: { installer } }));
    }
    const said = `error: builder for '${store(`nixos-system-${broken}`)}.drv' failed with exit code 2`;
    const fails = call.args.some((arg) => arg.includes(`nixos-system-${broken}`));
    if (first === '--realise' && !call.args.includes('--add-root')) {
      counts.builds++;
      await pass(60_000);
      if (fails) call.onLine?.(said);
      return fails ? exited('', 1, said) : exited('');
    }
    if (first === '--check-validity') return exited(fails ? `${toplevelOf(broken)}\n` : '');
    return exited('');
  };
}

export const simulatedStore: StoreReader = {
  realPath: async (path) => {
    if (path.endsWith('/image')) throw Object.assign(new Error(`no such file: ${path}`), { code: 'ENOENT' });
    return path;
  },
  linkTarget: async (path) => (path.endsWith('/init') ? `${store('installer-system')}/init` : undefined),
  stat: async (path) => ({ bytes: path.endsWith('initrd') ? 300_000_000 : 12_000_000, isFile: true }),
  head: async (path) => Buffer.from(path.endsWith('kernel-params') ? 'loglevel=4 panic=30' : 'kernel'),
  sha256: async (path) => Buffer.from(path).toString('hex').padEnd(64, '0').slice(-64),
  chunkHashes: async () => ({ sha256: '0'.repeat(64), chunks: [] }),
};
