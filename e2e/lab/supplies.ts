// What a run of Nixie in the lab is given besides the machines: the lab's flake with a store of its own, the operator's key, and a
// nixos-anywhere.
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hintedDevice } from '../../controller/src/machine/root-disk.ts';
import { run } from './child.ts';
import { prepareLab } from './image/build.ts';
import { findProgram } from './need.ts';
import type { NixWrap } from './nixie-run.ts';

export interface Supplies {
  /** `path:/…` */
  readonly flake: string;
  /** For --installer. */
  readonly installer: string;
  readonly nix: NixWrap;
  /** Runs a program that sees the lab's store; its stdout. */
  readonly inStore: (argv: readonly string[]) => Promise<string>;
  /** Where a store path lies for programs outside. */
  readonly onHost: (storePath: string) => string;
  /** The operator's private key; the installed machines of the lab let it in as root. */
  readonly keyFile: string;
  readonly nixosAnywhere: { readonly path: string; readonly standIn: boolean };
}

/** Names of machines that differ from the rest. */
export interface SpecialMachines {
  /** Their root is LUKS, whose key disko wants in /tmp/disk.key. */
  readonly encrypted?: readonly string[];
  /** Their layout names the disk that the hosts file describes. */
  readonly hinted?: readonly string[];
  /** The installer comes as a boot stage and an image. */
  readonly fleet?: boolean;
}

export const agentFile = fileURLToPath(new URL('../../agent/dist/nixie-agent', import.meta.url));
const standIn = fileURLToPath(new URL('./nixos-anywhere/nixos-anywhere', import.meta.url));

/** Disk serial of the machine with this index, counted from 0. */
export function diskSerial(index: number): string {
  return `NIXIE${index + 1}`;
}

/**
 * Generates the lab's flake for these machines (nothing is built yet: that is Nixie's work) and a key in `folder`.
 * The agent must have been built.
 */
export async function makeSupplies(
  folder: string,
  names: readonly string[],
  special: SpecialMachines = {},
): Promise<Supplies> {
  if (!existsSync(agentFile)) throw new Error(`${agentFile} is missing: run \`npm run build\` first`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const keyFile = join(folder, 'operator');
  await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', 'operator of the lab', '-f', keyFile]);
  const publicKey = readFileSync(`${keyFile}.pub`, 'utf8').trim();
  const machines = names.map((name, i) => ({
    name,
    serial: diskSerial(i),
    authorizedKeys: [publicKey],
    ...(special.encrypted?.includes(name) ? { encrypted: true } : {}),
    ...(special.hinted?.includes(name) ? { device: hintedDevice } : {}),
  }));
  const lab = await prepareLab({ machines, agent: agentFile });
  const real = findProgram('nixos-anywhere');
  return {
    flake: lab.flake,
    installer: `${lab.flake}#nixosConfigurations.${special.fleet === true ? 'fleet-installer' : 'installer'}`,
    nix: (argv) => lab.command(argv),
    inStore: (argv) => lab.run(argv),
    onHost: (path) => lab.onHost(path),
    keyFile,
    nixosAnywhere: { path: real ?? standIn, standIn: real === undefined },
  };
}

/** The arguments that every run of Nixie in the lab has. `knownHosts` is where it writes the keys it proved. */
export function runArguments(supplies: Supplies, hosts: string, knownHosts: string): string[] {
  return [
    ...['--installer', supplies.installer, '--flake', supplies.flake, '--hosts', hosts],
    ...['--ssh-key', supplies.keyFile, '--nixos-anywhere', supplies.nixosAnywhere.path, '--known-hosts', knownHosts],
    ...['--interface', 'eth0'],
  ];
}
