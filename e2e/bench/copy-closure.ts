// A closure with the sizes of a real one, without nixpkgs: each Debian package installed here becomes a store path of its files, and a system refers
// to all of them.
import { execFileSync } from 'node:child_process';
import { lstatSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface PackagedClosure {
  readonly packages: number;
  /** Sum of the files. */
  readonly bytes: number;
}

/** No single one shall be most of it. */
const mostOfOneBytes = 150e6;

/** Writes FLAKE/flake.nix with the configuration `bench`: libraries first, then the rest by name, up to so many bytes. */
export function writePackagedFlake(flake: string, wantedBytes: number): PackagedClosure {
  const names = execFileSync('dpkg', ['--get-selections'], { encoding: 'utf8' })
    .split('\n')
    .flatMap((line) => /^(\S+)\s+install$/.exec(line)?.[1] ?? [])
    .sort((a, b) => Number(b.startsWith('lib')) - Number(a.startsWith('lib')) || (a < b ? -1 : 1));
  mkdirSync(join(flake, 'lists'), { recursive: true });
  let bytes = 0;
  const chosen: string[] = [];
  for (const name of names) {
    if (bytes >= wantedBytes) break;
    const files = execFileSync('dpkg-query', ['-L', name], { encoding: 'utf8' })
      .split('\n')
      .flatMap((path) => {
        const found = path.startsWith('/usr/') ? lstatSync(path, { throwIfNoEntry: false }) : undefined;
        // Builds may not make setuid files.
        return found?.isFile() === true && (found.mode & 0o6000) === 0 && !/[\n\\]/.test(path)
          ? [{ path: path.slice(1), size: found.size }]
          : [];
      });
    const size = files.reduce((sum, file) => sum + file.size, 0);
    if (files.length === 0 || size > mostOfOneBytes || bytes + size > wantedBytes * 1.02) continue;
    bytes += size;
    writeFileSync(join(flake, 'lists', String(chosen.length)), files.map(({ path }) => `${path}\n`).join(''));
    chosen.push(name.replace(/[^A-Za-z0-9.+_-]/g, '-'));
  }
  const paths = chosen.map((name, i) => `(pack "${name}" ./lists/${i})`).join('\n        ');
  writeFileSync(
    join(flake, 'flake.nix'),
    `{
  outputs = { self }: let
    bb = "\${./bin}/busybox";
    system = "x86_64-linux";
    make = name: text: derivation { inherit name system; builder = bb; args = [ "sh" "-ec" text ]; };
    # Without a sandbox: files and tar of this computer.
    pack = name: list: make name "\${bb} mkdir $out; /bin/tar -c -C / -T \${list} | /bin/tar -x -C $out; \${bb} chmod -R u+w $out";
    paths = [
        ${paths}
    ];
    diskoScript = make "disko" "printf '#!/bin/sh\\\\nmkdir -p /mnt\\\\n' > $out; \${bb} chmod +x $out";
    toplevel = make "nixos-system-bench" "\${bb} mkdir $out; printf x86_64-linux > $out/system; printf '%s\\\\n' \${toString paths} > $out/paths";
  in { nixosConfigurations.bench.config.system.build = { inherit diskoScript toplevel; }; };
}
`,
  );
  return { packages: chosen.length, bytes };
}
