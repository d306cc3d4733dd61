// Builds that end when a test says so, and a record of each call of nix: how long a build takes is then nobody's luck.
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram } from './need.ts';
import type { NixWrap } from './nixie-run.ts';
import type { Scene } from './scenario.ts';

/** A build that nobody lets go fails by itself after so many seconds. */
const heldSeconds = 900;

export interface HeldBuilds {
  /** The arguments with the lab's flake replaced by one in which the disk layouts of these hosts need what is held. */
  readonly args: readonly string[];
  readonly nix: NixWrap;
  /** Its build goes on, or fails. */
  release(host: string, how: 'builds' | 'fails'): void;
  /** Date.now() at the end of its build; undefined: it hasn't ended well. */
  doneAt(host: string): number | undefined;
  /** Command lines of nix in the order of their start, each with the program's name first. */
  calls(): string[];
}

export function holdBuilds(scene: Scene, hosts: readonly string[]): HeldBuilds {
  const folder = join(scene.lab.folder, 'held');
  const flake = join(folder, 'flake');
  const bin = join(folder, 'bin');
  const gate = (host: string): string => join(folder, `gate-${host}`);
  const record = join(folder, 'calls');
  mkdirSync(bin, { recursive: true });
  cpSync(scene.supplies.flake.replace(/^path:/, ''), flake, { recursive: true });
  renameSync(join(flake, 'flake.nix'), join(flake, 'whole.nix'));
  writeFileSync(
    join(flake, 'flake.nix'),
    `{
  outputs = { self }: let
    whole = (import ./whole.nix).outputs { inherit self; };
    shell = name: text: derivation {
      inherit name;
      system = "x86_64-linux";
      builder = "/bin/sh";
      args = [ "-c" text ];
    };
    slow = name: shell "slow-\${name}" ''
      gate=${folder}/gate-\${name}
      for second in $(/usr/bin/seq ${heldSeconds}); do [ -e $gate ] && break; /bin/sleep 1; done
      read word < $gate
      [ "$word" = builds ] || { echo 'error: the compiler found a mistake' >&2; exit 3; }
      /bin/date +%s%3N | /usr/bin/tee $gate-done > $out
    '';
    held = name: one: one.config // {
      system = one.config.system // {
        build = one.config.system.build // {
          diskoScript = shell "disko-\${name}" ''
            read from < \${slow name}
            /bin/cp \${one.config.system.build.diskoScript} $out
          '';
        };
      };
    };
  in whole // {
    nixosConfigurations = whole.nixosConfigurations // {
      ${hosts.map((host) => `${host}.config = held "${host}" whole.nixosConfigurations.${host};`).join('\n      ')}
    };
  };
}
`,
  );
  for (const program of ['nix', 'nix-store']) {
    const real = findProgram(program);
    if (real === undefined) throw new Error(`no ${program} on PATH`);
    const file = join(bin, program);
    writeFileSync(
      file,
      `#!/bin/sh\necho "${program} $*" | /usr/bin/head -1 | /usr/bin/cut -c1-300 >> ${record}\nexec ${real} "$@"\n`,
    );
    chmodSync(file, 0o755);
  }
  return {
    // Installer and systems of one flake are one evaluation.
    args: scene.args.map((word) => word.replace(scene.supplies.flake, `path:${flake}`)),
    nix: (argv) => {
      const command = scene.supplies.nix(argv);
      // The lab's nix builds one thing at a time unless it is told otherwise.
      const env = { ...command.env, PATH: `${bin}:${process.env.PATH}`, NIX_CONFIG: 'max-jobs = 8' };
      return { argv: command.argv, env };
    },
    release(host, how) {
      // Whoever sees the file reads it.
      writeFileSync(`${gate(host)}-new`, `${how}\n`);
      renameSync(`${gate(host)}-new`, gate(host));
    },
    doneAt(host) {
      const text = existsSync(`${gate(host)}-done`) ? readFileSync(`${gate(host)}-done`, 'utf8') : '';
      // The file is made before it is written.
      return text.endsWith('\n') ? Number(text) : undefined;
    },
    calls: () => (existsSync(record) ? readFileSync(record, 'utf8').trim().split('\n') : []),
  };
}
