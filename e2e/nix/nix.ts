// nix with a store of its own for tests of this repository's Nix files. NIXPKGS=PATH evaluates them with a real nixpkgs instead of the stub,
// with the computer's own store then (`npm run test:nixpkgs`); DISKO=PATH does the same for disko.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../lab/child.ts';
import { labStore } from '../lab/image/nixstore.ts';
import { needPrograms, needRoot, skipUnless } from '../lab/need.ts';

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const real = process.env.NIXPKGS;
export const isReal = real !== undefined;

export const skip = skipUnless(
  ...(isReal ? [] : [needRoot, needPrograms(['unshare'])]),
  needPrograms(['nix', 'nix-instantiate', 'git']),
);

/** Files of the repository, those that are not committed yet among them. */
export function sources(): string[] {
  const git = ['-c', `safe.directory=${root}`, 'ls-files', '-z', '--cached', '--others', '--exclude-standard'];
  return execFileSync('git', git, { cwd: root, encoding: 'utf8' })
    .split('\0')
    .filter((path) => path !== '' && existsSync(join(root, path)));
}

export interface NixBox {
  /** A copy of the repository, without what no Nix file asks for. */
  readonly tree: string;
  /** Options that put the stubs, or the real things, in the place of a flake's inputs, and of theirs: `nixie/nixpkgs`. */
  overrides(inputs: readonly string[]): string[];
  /** Runs a program of nix; a failure is an answer when `accept` is set. */
  nix(argv: readonly string[], accept?: boolean): Promise<{ code: number | null; stdout: string; stderr: string }>;
  /** Value of an expression that may use `nixpkgs`, `nixie` (this flake's outputs) and `lib`. */
  value<T>(expression: string): Promise<T>;
  remove(): void;
}

const limitMs = isReal ? 900_000 : 120_000;

export function makeNixBox(): NixBox {
  const box = mkdtempSync(join(tmpdir(), 'nixie-flake-'));
  const tree = join(box, 'tree');
  for (const path of sources()) {
    if (/^e2e\/(?!nix\/|stories\/|package\.json$)|\/fixtures\//.test(path)) continue;
    mkdirSync(dirname(join(tree, path)), { recursive: true });
    cpSync(join(root, path), join(tree, path));
  }
  const within = isReal ? (argv: readonly string[]) => ({ argv: [...argv], env: {} }) : labStore(join(box, 'store'));
  const places: Readonly<Record<string, string>> = {
    nixpkgs: `path:${real ?? join(tree, 'e2e/nix/stub')}`,
    disko: `path:${process.env.DISKO ?? join(tree, 'e2e/nix/stub/disko')}`,
    nixie: `path:${tree}`,
  };

  const nix: NixBox['nix'] = async (words, accept = false) => {
    const features = words[0] === 'nix' ? ['--extra-experimental-features', 'nix-command flakes'] : [];
    const { argv, env } = within([words[0]!, ...features, ...words.slice(1)]);
    return await run(argv, { env: { ...process.env, ...env }, cwd: '/', deadlineMs: limitMs, accept });
  };
  return {
    tree,
    overrides: (inputs) => [
      '--no-write-lock-file',
      ...inputs.flatMap((input) => ['--override-input', input, places[basename(input)]!]),
    ],
    nix,
    async value(expression) {
      const prelude = `let
        nixpkgs = builtins.getFlake "${places.nixpkgs}";
        inherit (nixpkgs) lib;
        disko = builtins.getFlake "${places.disko}";
        nixie = (import ${tree}/flake.nix).outputs { self = nixie // { outPath = ${tree}; }; inherit nixpkgs disko; };
      in `;
      const { stdout } = await nix(['nix', 'eval', '--impure', '--json', '--expr', prelude + expression]);
      return JSON.parse(stdout);
    },
    remove() {
      // A store is read-only.
      execFileSync('chmod', ['-R', 'u+w', box]);
      rmSync(box, { recursive: true, force: true });
    },
  };
}
