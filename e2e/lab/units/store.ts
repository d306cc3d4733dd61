// The store paths that units name, as folders: Nixie's own packages as they were built, and under the names of nixpkgs' the programs that Debian has,
// of each package its own and no more: what a unit's PATH lacks is lacking.
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findProgram } from '../need.ts';

const standIn = fileURLToPath(new URL('../nixos-anywhere/nixos-anywhere', import.meta.url));

/** Debian's package of nixpkgs' one, whose programs the machine has. */
const there: Readonly<Record<string, string>> = {
  coreutils: 'coreutils',
  iproute2: 'iproute2',
  nix: 'nix-bin',
  systemd: 'systemd',
  'util-linux': 'util-linux',
};

export interface Own {
  /** The controller as package-build.ts made it, and the store path that it has in the units. */
  readonly nixie: { readonly built: string; readonly storePath: string };
  /** The agent's executable, and the store path of its package. */
  readonly agent: { readonly executable: string; readonly storePath: string };
}

/** Programs of a Debian package: where each is, by name. */
function programsOf(debian: string): Map<string, string> {
  const listed = execFileSync('dpkg-query', ['-L', debian], { encoding: 'utf8', timeout: 60_000 });
  return new Map(
    [...listed.matchAll(/^(?:\/usr)?(\/s?bin\/(\S+))$/gm)].map(([, path, name]) => [name!, `/usr${path}`]),
  );
}

const storePaths = (text: string): string[] => [
  ...new Set([...text.matchAll(/\/nix\/store\/[a-z0-9]{32}-[A-Za-z0-9+._-]+/g)].map(([path]) => path)),
];

/**
 * Makes the folders of all store paths that `texts` name, and of those that the controller's own program names, in `folder`, under their base names.
 * @throws Error naming a store path that nothing here is for
 */
export function layStore(folder: string, texts: readonly string[], { nixie, agent }: Own): void {
  const place = (storePath: string) => join(folder, basename(storePath));
  cpSync(nixie.built, place(nixie.storePath), { recursive: true });
  const wrapper = join(place(nixie.storePath), 'bin/nixie');
  // It was built in another place, with this computer's Node.
  const node = `/nix/store/${'0'.repeat(32)}-nodejs-slim_24`;
  const told = readFileSync(wrapper, 'utf8')
    .replaceAll(nixie.built, nixie.storePath)
    .replaceAll(process.execPath, `${node}/bin/node`);
  writeFileSync(wrapper, told);
  const all = storePaths([...texts, told].join('\n'));
  for (const storePath of all) {
    if (storePath === nixie.storePath) continue;
    const bin = join(place(storePath), 'bin');
    const name = basename(storePath).slice(33);
    const program = (from: string, as = basename(from)): void => {
      mkdirSync(bin, { recursive: true });
      copyFileSync(from, join(bin, as));
      chmodSync(join(bin, as), 0o755);
    };
    const debian = there[name];
    if (storePath === agent.storePath) program(agent.executable, 'nixie-agent');
    else if (storePath === node) program(process.execPath, 'node');
    else if (debian !== undefined) {
      mkdirSync(bin, { recursive: true });
      for (const [each, path] of programsOf(debian)) symlinkSync(path, join(bin, each));
      // Debian has it in another package, which the machine has not.
      const busybox = all.find((each) => each.endsWith('-busybox'));
      if (name === 'coreutils' && busybox !== undefined) symlinkSync(`${busybox}/bin/kill`, join(bin, 'kill'));
    } else if (name === 'busybox') {
      program(findProgram('busybox')!);
      const applets = execFileSync(join(bin, 'busybox'), ['--list'], { encoding: 'utf8', timeout: 60_000 });
      for (const each of applets.trim().split('\n')) if (each !== 'busybox') symlinkSync('busybox', join(bin, each));
    } else if (name === 'openssh') {
      // The machine has not all of them.
      for (const path of programsOf('openssh-client').values()) program(path);
    } else if (name === 'ipxe') {
      mkdirSync(place(storePath), { recursive: true });
      for (const each of readdirSync('/usr/lib/ipxe'))
        if (/^(?:snponly\.efi|undionly\.kpxe)$/.test(each))
          copyFileSync(join('/usr/lib/ipxe', each), join(place(storePath), each));
    } else if (name === 'nixos-anywhere') program(standIn, 'nixos-anywhere');
    // The flake is a folder, so nobody asks git.
    else if (name === 'gitMinimal') mkdirSync(bin, { recursive: true });
    else throw new Error(`lay the store of the units: nothing is there for ${storePath}`);
  }
}
