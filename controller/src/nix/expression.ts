// The Nix functions that are applied to a flake's attributes, and what comes back from them. The attribute set is lazy: only what is asked
// for is evaluated, and all hosts share one evaluation of nixpkgs.
import { NixAnswerError, parseAnswer } from './answer-error.ts';
import type { HostSystem, InstallerParts, Output } from './types.ts';

/** A Nix string. */
export function nixString(text: string): string {
  return `"${text
    .replace(/[\\"]|\$(?=\{)/g, '\\$&')
    .replace(/\n/g, '\\n')
    .replace(/\r/g, '\\r')
    .replace(/\t/g, '\\t')}"`;
}

function selection(names: readonly string[]): string {
  return `{ ${names.map((name) => `${nixString(name)} = 1;`).join(' ')} }`;
}

// `host` and `installer` throw what the configuration throws, or are plain data. `opt` is for what may be absent or broken without harm:
// other modules than we know, old versions of disko, flakes that aren't NixOS at all.
const functions = `
  tried = x: builtins.tryEval (builtins.deepSeq x x);
  opt = x: let r = tried x; in if r.success then r.value else null;
  output = d: { drv = d.drvPath; out = d.outPath; };
  platform = c: opt (c.pkgs.stdenv.hostPlatform.system or c.config.nixpkgs.hostPlatform.system or c.config.system.build.toplevel.system or null);
  host = c: let b = c.config.system.build; in {
    toplevel = output b.toplevel;
    diskoScript = if b ? diskoScript then output b.diskoScript else null;
    system = platform c;
    hostName = opt (c.config.networking.hostName or null);
    diskDevices = opt (builtins.mapAttrs (n: d: opt (d.device or null)) (c.config.disko.devices.disk or {}));
    sshEnabled = opt (c.config.services.openssh.enable or null);
    sshPorts = opt (c.config.services.openssh.ports or null);
    sshHostKeys = opt (map (k: { path = k.path; type = k.type; }) (c.config.services.openssh.hostKeys or []));
    rootHasKeys = opt (let k = c.config.users.users.root.openssh.authorizedKeys or null; in
      if k == null then null else (k.keys or []) != [] || (k.keyFiles or []) != []);
  };
  installer = c:
    if c ? drvPath then { bundle = output c; system = c.system or null; }
    else let b = c.config.system.build; in { system = platform c; } // (
      if b ? nixie then { bundle = output b.nixie; }
      else {
        kernel = output b.kernel;
        kernelFile = c.config.system.boot.loader.kernelFile or "bzImage";
        ramdisk = output b.netbootRamdisk;
        toplevel = output b.toplevel;
      });
  safely = f: c: let r = tried (f c); in if r.success then { value = r.value; } else { failed = true; };`;

/** For \`nixosConfigurations\`: several hosts and installers at once. Gives {@link Answers}. */
export function askMany(hosts: readonly string[], installers: readonly string[]): string {
  return `cs: let ${functions}
in {
  names = builtins.attrNames cs;
  hosts = builtins.mapAttrs (n: safely host) (builtins.intersectAttrs ${selection(hosts)} cs);
  installers = builtins.mapAttrs (n: safely installer) (builtins.intersectAttrs ${selection(installers)} cs);
}`;
}

/** For \`nixosConfigurations\`: one of them without a net, so that nix tells what is wrong with it. */
export function askOne(kind: 'hosts' | 'installers', name: string): string {
  return `cs: let ${functions} in builtins.deepSeq (${kind === 'hosts' ? 'host' : 'installer'} cs.${nixString(name)}) true`;
}

/** For an installer's own attribute, when it isn't under nixosConfigurations or in another flake. */
export function askInstaller(): string {
  return `c: let ${functions} in installer c`;
}

export interface Answers {
  readonly names: readonly string[];
  readonly hosts: Readonly<Record<string, unknown>>;
  readonly installers: Readonly<Record<string, unknown>>;
}

/** What {@link askMany} gives. Throws NixAnswerError. */
export function readAnswers(json: string): Answers {
  const command = 'nix eval';
  const value = parseAnswer(command, json);
  if (!isRecord(value)) throw new NixAnswerError(command, 'the answer is not an attribute set');
  return {
    names: Array.isArray(value.names) ? value.names.filter((name) => typeof name === 'string') : [],
    hosts: isRecord(value.hosts) ? value.hosts : {},
    installers: isRecord(value.installers) ? value.installers : {},
  };
}

/** A host's data, or a sentence why there is none. */
export function readHost(value: unknown): HostSystem | string {
  if (!isRecord(value)) return 'the evaluation gave nothing';
  const toplevel = readOutput(value.toplevel);
  if (!toplevel) return 'config.system.build.toplevel is not a derivation';
  const diskoScript = readOutput(value.diskoScript);
  if (!diskoScript) {
    return 'there is no config.system.build.diskoScript: the configuration needs the disko module and its disks under disko.devices';
  }
  const told = isRecord(value.diskDevices) ? Object.entries(value.diskDevices) : [];
  const devices = told.filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  const hostKeys = Array.isArray(value.sshHostKeys)
    ? value.sshHostKeys.filter(
        (key): key is { path: string; type: string } =>
          isRecord(key) && typeof key.path === 'string' && typeof key.type === 'string',
      )
    : [];
  const ports = Array.isArray(value.sshPorts)
    ? value.sshPorts.filter((port): port is number => Number.isInteger(port))
    : [];
  return {
    toplevel,
    diskoScript,
    ...given('system', value.system, 'string'),
    ...given('hostName', value.hostName, 'string'),
    ...given('sshEnabled', value.sshEnabled, 'boolean'),
    ...given('rootHasKeys', value.rootHasKeys, 'boolean'),
    // A layout of which one disk isn't told is not known: nobody could say that this disk is free.
    ...(devices.length > 0 && devices.length === told.length ? { diskDevices: Object.fromEntries(devices) } : {}),
    ...(hostKeys.length > 0 ? { sshHostKeys: hostKeys } : {}),
    ...(ports.length > 0 ? { sshPorts: ports } : {}),
  };
}

/** An installer's data, or a sentence why there is none. */
export function readInstaller(value: unknown): InstallerParts | string {
  if (!isRecord(value)) return 'the evaluation gave nothing';
  const system = given('system', value.system, 'string');
  const bundle = readOutput(value.bundle);
  if (bundle) return { ...system, form: 'bundle', bundle };
  const kernel = readOutput(value.kernel);
  const ramdisk = readOutput(value.ramdisk);
  const toplevel = readOutput(value.toplevel);
  const { kernelFile } = value;
  if (!kernel || !ramdisk || !toplevel || typeof kernelFile !== 'string') {
    return 'it has neither system.build.nixie nor all of system.build.{kernel, netbootRamdisk, toplevel}';
  }
  // It becomes part of a path.
  if (!/^[A-Za-z0-9._-]+$/.test(kernelFile) || kernelFile.startsWith('.'))
    return `kernelFile ${JSON.stringify(kernelFile)} is not a file name`;
  return { ...system, form: 'parts', kernel, kernelFile, ramdisk, toplevel };
}

const storePath = /^\/[^\s\u0000-\u001f]*\/[0-9a-z]{32}-[A-Za-z0-9+._?=-]+$/;

function readOutput(value: unknown): Output | undefined {
  if (!isRecord(value)) return undefined;
  const { drv, out } = value;
  if (typeof drv !== 'string' || typeof out !== 'string') return undefined;
  if (!storePath.test(drv) || !drv.endsWith('.drv') || !storePath.test(out)) return undefined;
  return { drv, out };
}

function given<Name extends string>(name: Name, value: unknown, type: 'string' | 'boolean'): { [key in Name]?: never } {
  return (typeof value === type ? { [name]: value } : {}) as { [key in Name]?: never };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
