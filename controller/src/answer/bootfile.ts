// Which boot file a client is told, by what it is and what its machine is offered.
import type { Mac } from '../machine/mac.ts';
import type { Client, Platform } from './firmware.ts';
import { loaderUrl, type Scene, type SceneInterface, type SceneMachine, scriptUrl } from './scene.ts';

/** The header's `file` and option 67 must hold the same text; the header has room for so many octets and a NUL. */
export const bootFileMax = 127;

export type NoBoot =
  | 'no loader'
  | 'unknown architecture'
  | 'wrong architecture'
  | 'boots its disk'
  | 'not yet'
  | 'name too long';

export type Boot =
  | {
      readonly kind: 'boot';
      readonly file: string;
      readonly by: 'script' | 'tftp' | 'http';
      readonly platform?: Platform;
    }
  | { readonly kind: 'none'; readonly why: NoBoot; readonly detail?: string };

/** The loader of a client, or why there is none. */
function loaderOf(client: Client, machine: SceneMachine, scene: Scene): { name: string; platform: Platform } | Boot {
  const arm = machine.system === 'aarch64-linux';
  // A request that names no architecture (seen on port 4011): an arm64 machine can only be one, x86 may be BIOS or UEFI.
  const platform = client.architecture === undefined && arm ? 'arm64' : client.platform;
  if (platform === undefined) {
    const number = client.architecture;
    return number === undefined
      ? { kind: 'none', why: 'unknown architecture', detail: 'it names none' }
      : { kind: 'none', why: 'no loader', detail: `for architecture ${number}` };
  }
  // A loader for another processor would only make the machine hang.
  if ((platform === 'arm64') !== arm) {
    return { kind: 'none', why: 'wrong architecture', detail: `it is ${platform}, its system is ${machine.system}` };
  }
  const name = scene.loaders[platform];
  return name === undefined ? { kind: 'none', why: 'no loader', detail: `for ${platform}` } : { name, platform };
}

/** For clients that want to boot. */
export function bootFile(client: Client, machine: SceneMachine, mac: Mac, scene: Scene, at: SceneInterface): Boot {
  if (machine.offer === 'silent') return { kind: 'none', why: 'not yet' };
  const boot = fileOf(client, machine, mac, scene, at);
  if (boot.kind === 'boot' && boot.file.length > bootFileMax) {
    return { kind: 'none', why: 'name too long', detail: `${boot.file.length} octets: ${boot.file}` };
  }
  return boot;
}

function fileOf(client: Client, machine: SceneMachine, mac: Mac, scene: Scene, at: SceneInterface): Boot {
  // iPXE gets its script also from the reboot on: the script then sends it to the disk. Other firmware would take any answer for a boot.
  if (client.kind === 'ipxe') {
    const platform = client.platform === undefined ? {} : { platform: client.platform };
    return { kind: 'boot', file: scriptUrl(scene, at, mac), by: 'script', ...platform };
  }
  if (machine.offer === 'local') return { kind: 'none', why: 'boots its disk' };
  const loader = loaderOf(client, machine, scene);
  if ('kind' in loader) return loader;
  return client.kind === 'http'
    ? { kind: 'boot', file: loaderUrl(scene, at, loader.name), by: 'http', platform: loader.platform }
    : { kind: 'boot', file: loader.name, by: 'tftp', platform: loader.platform };
}

/** Sentences about loader names and addresses that make a boot file longer than firmware can take; to be asked before anything is served. */
export function bootFileProblems(scene: Scene): string[] {
  const loaders = Object.values(scene.loaders).filter((name): name is string => name !== undefined);
  const longestMac = 'ff:ff:ff:ff:ff:ff' as Mac;
  const places = Object.values(scene.interfaces).flatMap((at) => [
    at,
    ...(at.networks ?? []).map(({ controller = at.address }) => ({ ...at, address: controller })),
  ]);
  const files = places.flatMap((at) => [
    scriptUrl(scene, at, longestMac),
    ...loaders.map((name) => loaderUrl(scene, at, name)),
  ]);
  return [...new Set([...loaders, ...files])]
    .filter((file) => file.length > bootFileMax || /[^!-~]/.test(file))
    .map(
      (file) =>
        `boot file ${JSON.stringify(file)}: firmware takes at most ${bootFileMax} printable ASCII characters, this has ${file.length}`,
    );
}
