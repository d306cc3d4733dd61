// All that our answers to firmware depend on besides the request itself. Plain data: it is cloned into the worker that answers.
import type { System } from '../machine/host.ts';
import type { BootOffer } from '../machine/life.ts';
import type { Mac } from '../machine/mac.ts';

export type { BootOffer };
export type DhcpMode = 'proxy' | 'range' | 'off';

export interface SceneMachine {
  readonly name: string;
  readonly offer: BootOffer;
  readonly system: System;
  /** By MAC: the address we lease to it, when we are the DHCP server. Assigned before the scene is made, never by a packet. */
  readonly addresses: Readonly<Record<Mac, string>>;
}

export interface SceneInterface {
  readonly name: string;
  /** Our own address there: the siaddr, the server identifier and the host of each URL. */
  readonly address: string;
  readonly prefixLength: number;
  readonly dhcp: DhcpMode;
  /** When we are the DHCP server. */
  readonly router?: string;
  readonly dns: readonly string[];
  readonly leaseSeconds: number;
  /** Networks behind relays whose addresses we lease; a relayed machine elsewhere gets no address from us. */
  readonly networks?: readonly SceneNetwork[];
}

/** A network that we aren't in ourselves. */
export interface SceneNetwork {
  /** Any address of it. */
  readonly address: string;
  readonly prefixLength: number;
  readonly router?: string;
  readonly dns?: readonly string[];
}

/** Name under which TFTP and HTTP serve the loader of a firmware kind; absent: no such loader is here. */
export interface Loaders {
  readonly bios?: string; // undionly.kpxe
  readonly x64?: string; // snponly.efi
  readonly arm64?: string; // snponly-arm64.efi
}

export interface Scene {
  readonly interfaces: Readonly<Record<string, SceneInterface>>;
  readonly machineOfMac: Readonly<Record<Mac, string>>;
  readonly machines: Readonly<Record<string, SceneMachine>>;
  readonly loaders: Loaders;
  readonly httpPort: number;
}

/** `http://ADDRESS:PORT/boot/aa-bb-cc-dd-ee-ff.ipxe` */
export function scriptUrl(scene: Scene, at: SceneInterface, mac: Mac): string {
  return `http://${at.address}:${scene.httpPort}/boot/${mac.replaceAll(':', '-')}.ipxe`;
}

/** `http://ADDRESS:PORT/loader/NAME` */
export function loaderUrl(scene: Scene, at: SceneInterface, loader: string): string {
  return `http://${at.address}:${scene.httpPort}/loader/${loader}`;
}
