// nix as the controller sees it: one flake with some configurations that machines share, of which one may not build. Each takes its own time, and all
// are built side by side.
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
export const installerPath = store('installer');
export const toplevelOf = (attr: string): string => store(`nixos-system-${attr}`);

/** Of a configuration: all that is built for a machine of it. */
export const outputsOf = (attr: string): readonly string[] => [toplevelOf(attr), store(`disko-${attr}`)];

export interface NixCounts {
  evaluations: number;
  builds: number;
}

export interface NixParts {
  readonly counts: NixCounts;
  /** Lets virtual time go by, milliseconds. */
  readonly pass: (milliseconds: number) => Promise<void>;
  /** What has been built; it outlives the controller. */
  readonly store: Set<string>;
  /** How long the build of an output of this name takes, of the system `broken` until it fails. */
  readonly buildSeconds: (name: string) => number;
}

const builds = 104;
const build = 105;

export function simulatedNix({ counts, pass, store: valid, buildSeconds }: NixParts): RunNix {
  const exited = (stdout: string, code = 0, stderr = ''): NixResult => ({ ended: 'exited', code, stdout, stderr });
  const brokenOut = toplevelOf(broken);
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
        if (!valid.has(out)) return exited('', 1, `error: path '${out}' is not valid`);
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
    const paths = call.args.filter((arg) => arg.startsWith('/nix/store/'));
    if (first === '--check-validity') {
      await pass(50);
      return exited(
        paths
          .filter((path) => !valid.has(path))
          .map((path) => `${path}\n`)
          .join(''),
      );
    }
    if (first === '--query') return exited(`${paths.join('\n')}\n`);
    if (call.args.includes('--add-root')) {
      await pass(50);
      const absent = paths.find((path) => !valid.has(path));
      return absent === undefined ? exited('') : exited('', 1, `error: path '${absent}' is not valid`);
    }
    counts.builds++;
    const say = (item: object) => call.onLine?.(`@nix ${JSON.stringify(item)}`);
    let failed = '';
    let over = 0;
    say({ action: 'start', id: 1, level: 0, type: builds, text: '', fields: [] });
    const one = async (drv: string, id: number): Promise<void> => {
      const out = drv.replace(/\.drv$/, '');
      if (valid.has(out)) return;
      say({ action: 'start', id, level: 3, type: build, text: `building '${drv}'`, fields: [drv, '', 1, 1] });
      await pass(1000 * buildSeconds(out.replace(/^.*?\w{32}-/, '')));
      if (out === brokenOut) {
        failed = `error: builder for '${drv}' failed with exit code 2`;
        say({ action: 'result', id, type: 101, fields: ['the compiler found a mistake'] });
        say({ action: 'msg', level: 0, msg: failed });
      } else valid.add(out);
      // Of what was asked for itself nix says the end when it ends, and only counts it before.
      say({ action: 'result', id: 1, type: 105, fields: [++over, paths.length, 0, failed === '' ? 0 : 1] });
    };
    await Promise.all(paths.map((drv, i) => one(drv, 2 + i)));
    return failed === '' ? exited('') : exited('', 1, failed);
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
