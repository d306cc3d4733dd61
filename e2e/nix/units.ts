// Systems with the modules, and the text of their units: taken apart, and judged by systemd.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const fingerprint = 'a1'.repeat(32);

/** A system with the modules, and `config` as the body of a module. */
export const system = (config: string) => `(lib.nixosSystem { system = "x86_64-linux"; modules = [
  nixie.nixosModules.default
  { system.stateVersion = "25.11"; fileSystems."/".device = "/dev/x"; boot.loader.grub.enable = false; }
  (${config})
]; })`;
/** A system with the controller, one machine, and more of `services.nixie`. */
export const withController = (services: string) =>
  system(
    `{ services.nixie = { enable = true; flake = "/etc/nixos"; hosts.m1.macAddress = "aa:bb:cc:dd:ee:01"; } // ${services}; }`,
  );

export const unitOf = (of: string, name: string, kind = 'service') =>
  `${of}.config.systemd.units."${name}.${kind}".text`;

/** `Name=value` lines of a unit, by name. */
export function settings(unit: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const line of unit.split('\n')) {
    const [, name, value] = /^([A-Za-z0-9]+)=(.*)$/.exec(line) ?? [];
    if (name !== undefined) found.set(name, [...(found.get(name) ?? []), value!]);
  }
  return found;
}

/** A command line of a unit as systemd takes it apart. */
export function words(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|(\S+)/g)].map((match) =>
    (match[1] ?? match[2]!).replaceAll('%%', '%').replaceAll('$$', '$'),
  );
}

/** What systemd says against a set of units, by file name; empty: nothing. */
export function verify(units: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-unit-'));
  try {
    // Their programs are nowhere here; everything else is judged.
    for (const [name, unit] of Object.entries(units))
      writeFileSync(join(folder, name), unit.replace(/^(Exec\w+=)\S+/gm, '$1/bin/true'));
    const files = Object.keys(units).map((name) => join(folder, name));
    const argv = ['verify', '--man=no', '--recursive-errors=no', ...files];
    const ran = spawnSync('systemd-analyze', argv, { encoding: 'utf8', timeout: 120_000 });
    // What it ignores it says, and is content.
    return ran.status === 0 ? ran.stderr : ran.stderr || `ended with ${ran.status}`;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
