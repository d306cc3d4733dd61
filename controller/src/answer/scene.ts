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
  /** Key of the declared subnet that it is in: who has its MAC elsewhere is another machine. */
  readonly only?: string;
}

export interface SceneInterface {
  readonly name: string;
  /** Our own address there: the siaddr, the server identifier and the host of each URL. */
  readonly address: string;
  readonly prefixLength: number;
  readonly dhcp: DhcpMode;
  /** When we are the DHCP server. */
  readonly router?: string;
  /** Set by place.ts: machines there have one, and this packet doesn't say which. */
  readonly routerUnknown?: true;
  readonly dns: readonly string[];
  readonly leaseSeconds: number;
  /** Declared subnets whose relays send to this interface. */
  readonly networks?: readonly SceneNetwork[];
}

/** A network that we aren't in ourselves. */
export interface SceneNetwork {
  /** What it is called in a machine's `only`. */
  readonly key: string;
  /** Its network address. */
  readonly address: string;
  readonly prefixLength: number;
  /** What we are there, whatever we are on the interface. */
  readonly dhcp: 'proxy' | 'range';
  /** Our address as its machines reach it. Absent: the interface's. */
  readonly controller?: string;
  /** Absent: the relay that asks. */
  readonly router?: string;
  /** Absent: none is named. */
  readonly dns?: readonly string[];
  /** By MAC: the address that we lease there. Absent: as everywhere. */
  readonly addresses?: Readonly<Record<Mac, string>>;
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
