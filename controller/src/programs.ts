// The programs of the platform that a run needs, found before anything is started.
import { accessSync, constants, statSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';

/** A program that a run needs isn't on PATH. */
export class ProgramMissing extends Error {
  readonly programs: readonly { program: string; package: string }[];
  constructor(programs: readonly { program: string; package: string }[]) {
    super(programs.map((each) => `${each.program} is not on PATH: install the package ${each.package}`).join('\n'));
    this.name = 'ProgramMissing';
    this.programs = programs;
  }
}

/** Program → package that brings it (the name in nixpkgs, and Debian's where it differs). */
const needed: Readonly<Record<string, string>> = {
  nix: 'nix (Debian: nix-bin)',
  'nix-store': 'nix (Debian: nix-bin)',
  ssh: 'openssh (Debian: openssh-client)',
  'ssh-copy-id': 'openssh (Debian: openssh-client)',
  'ssh-keygen': 'openssh (Debian: openssh-client)',
  'ssh-keyscan': 'openssh (Debian: openssh-client)',
};

export interface Programs {
  readonly nixosAnywhere: string;
  readonly ssh: string;
}

/** @throws ProgramMissing with all that is missing */
export function findPrograms(path: string, nixosAnywhere: string | undefined): Programs {
  const missing = Object.entries(needed)
    .filter(([program]) => which(program, path) === undefined)
    .map(([program, brings]) => ({ program, package: brings }));
  const anywhere = nixosAnywhere ?? which('nixos-anywhere', path);
  if (anywhere === undefined)
    missing.push({ program: 'nixos-anywhere', package: 'nixos-anywhere, or name it with --nixos-anywhere PATH' });
  if (missing.length > 0 || anywhere === undefined) throw new ProgramMissing(missing);
  return { nixosAnywhere: anywhere, ssh: which('ssh', path)! };
}

export function which(program: string, path: string): string | undefined {
  return path
    .split(':')
    .filter((folder) => isAbsolute(folder))
    .map((folder) => join(folder, program))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return statSync(file).isFile();
      } catch {
        return false;
      }
    });
}
