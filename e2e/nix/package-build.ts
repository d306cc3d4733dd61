// The packages, built here from the files that they name, by the phases that they say, without nix's builder and its nixpkgs: what a package
// forgets is missing. Where the phases call functions of nixpkgs there are small ones.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { type NixBox, root } from './nix.ts';

interface Facts {
  readonly version: string;
  readonly files: readonly string[];
  readonly phases: Readonly<Record<string, string>> & { readonly env: Readonly<Record<string, string>> };
}

// What pnpm makes of a package's dependencies: links, to the workspace's for those of others and to the copy for our own.
function link(from: string, to: string, own: ReadonlyMap<string, string>): void {
  for (const name of readdirSync(from)) {
    if (name.startsWith('.')) continue;
    if (name.startsWith('@')) {
      mkdirSync(join(to, name), { recursive: true });
      for (const inner of readdirSync(join(from, name))) {
        const full = `${name}/${inner}`;
        symlinkSync(own.get(full) ?? realpathSync(join(from, full)), join(to, full));
      }
    } else {
      mkdirSync(to, { recursive: true });
      symlinkSync(realpathSync(join(from, name)), join(to, name));
    }
  }
}

const functions = (node: string) => `
  runHook() { :; }
  # The program that it wraps is nixpkgs' Node.
  makeBinaryWrapper() {
    local to=$2 flags=; shift 2; mkdir -p "$(dirname "$to")"; echo '#!/bin/sh' > "$to"
    while [ $# -gt 0 ]; do case $1 in
      --add-flags) flags="$flags $2"; shift 2;;
      --prefix) echo "$2=\\"$4$3\\$$2\\"; export $2" >> "$to"; shift 4;;
      --suffix) echo "$2=\\"\\$$2$3$4\\"; export $2" >> "$to"; shift 4;;
      --set-default) echo ": \\"\\\${$2=$3}\\"; export $2" >> "$to"; shift 3;;
      *) echo "makeBinaryWrapper: $1" >&2; exit 1;;
    esac; done
    echo "exec ${node}$flags \\"\\$@\\"" >> "$to"; chmod +x "$to"
  }
  installShellCompletion() {
    [ "$1 $2" = "--cmd nixie" ] || exit 1; shift 2
    while [ $# -gt 0 ]; do mkdir -p "$out/share/completions"; cat "$2" > "$out/share/completions/$1" || exit 1; shift 2; done
  }
  installManPage() { for page; do mkdir -p "$out/share/man/man\${page##*.}"; cp "$page" "$out/share/man/man\${page##*.}/" || exit 1; done; }
`;

/** Of the overlay's package `name`, in `work`; the folder that nix would have put into its store. */
export async function buildPackage(box: NixBox, name: string, work: string, commit: string): Promise<string> {
  const { version, files, phases } = await box.value<Facts>(`let
    pkgs = nixpkgs.legacyPackages.x86_64-linux;
    overlay = import ${box.tree}/installer-nix/overlay.nix { commit = "${commit}"; };
    own = overlay (pkgs // own) pkgs;
    package = own.${name};
  in { inherit (package) version; inherit (package.src) files; inherit (package) phases; }`);
  assert.ok(files.length > 40);
  assert.deepEqual(
    files.filter((path) => path.endsWith('.test.ts')),
    [],
  );
  const place = join(work, name);
  for (const path of files) {
    mkdirSync(dirname(join(place, path)), { recursive: true });
    cpSync(join(box.tree, path), join(place, path));
  }
  const own = new Map([['@nixie/proto', join(place, 'proto')]]);
  for (const part of ['proto', name === 'nixie' ? 'controller' : 'agent'])
    link(join(root, part, 'node_modules'), join(place, part, 'node_modules'), own);
  const out = join(work, `${name}-out`);
  // The one for this platform, as nixpkgs' is.
  const esbuild = createRequire(realpathSync(join(root, 'node_modules/esbuild/package.json'))).resolve(
    `@esbuild/linux-${process.arch}/bin/esbuild`,
  );
  const { buildPhase, installPhase, postInstall = '', installCheckPhase } = phases;
  const script = `set -eu -o pipefail\n${functions(process.execPath)}\n${buildPhase}\n${installPhase}\n${postInstall}\n${installCheckPhase}`;
  writeFileSync(join(work, `${name}.sh`), script);
  const ran = spawnSync('bash', [join(work, `${name}.sh`)], {
    cwd: place,
    env: {
      ...phases.env,
      PATH: `${dirname(process.execPath)}:/usr/bin:/bin`,
      NIXIE_ESBUILD: esbuild,
      HOME: work,
      out,
    },
    encoding: 'utf8',
    timeout: 120_000,
  });
  assert.equal(ran.status, 0, ran.stderr);
  assert.ok(version.length > 0);
  return out;
}
