// The controller's boot plan, checked, and what the front doors are told of it. Pure.
import { type BootPlan, DhcpMode as PlanDhcp, PlanOffer } from '@nixie/proto/relay';
import type { BootOffer, DhcpMode, Loaders, Scene, SceneInterface, SceneMachine } from '../answer/scene.ts';
import type { InstallerFiles } from '../answer/script.ts';
import type { System } from '../machine/host.ts';
import { type Mac, parseMac } from '../machine/mac.ts';
import { kernelWord } from '../wire/ipxe/words.ts';
import type { CacheRef } from './fetching.ts';

export interface PlannedCard {
  readonly mac: Mac;
  /** That it is leased. */
  readonly address?: string;
  /** 32 hexadecimal digits each. */
  readonly tokens: readonly string[];
}

export interface PlannedMachine {
  readonly name: string;
  readonly system: System;
  readonly offer: BootOffer | 'wait';
  readonly boot: readonly string[];
  readonly cards: readonly PlannedCard[];
}

export interface PlannedInterface {
  readonly name: string;
  readonly dhcp: DhcpMode;
  readonly router?: string;
  readonly dns: readonly string[];
  readonly leaseSeconds: number;
}

export type Firmware = keyof Loaders;

export interface PlannedLoader {
  readonly firmware: Firmware;
  readonly name: string;
  readonly file: CacheRef;
}

export interface RelayPlan {
  readonly version: bigint;
  /** 64 hexadecimal digits */
  readonly fingerprint: string;
  readonly interfaces: readonly PlannedInterface[];
  readonly machines: ReadonlyMap<string, PlannedMachine>;
  readonly machineOfMac: ReadonlyMap<Mac, string>;
  readonly installers: ReadonlyMap<System, InstallerFiles>;
  readonly loaders: readonly PlannedLoader[];
  /** Files of the installers by `SHA256/NAME`, as scripts name them. */
  readonly files: ReadonlyMap<string, CacheRef>;
  /** Worth having before anybody asks, the most wanted first. */
  readonly ahead: readonly CacheRef[];
  readonly cacheKey?: string;
  /** Machines that may load at once. */
  readonly loads: number;
}

/** Loaders are kept in memory. */
export const largestLoaderBytes = 32 << 20;
const mostTokens = 16;
const systems: readonly string[] = ['x86_64-linux', 'aarch64-linux'] satisfies System[];
const firmwares: readonly string[] = ['bios', 'x64', 'arm64'] satisfies Firmware[];
const offers: Readonly<Partial<Record<PlanOffer, PlannedMachine['offer']>>> = {
  [PlanOffer.PLAN_OFFER_SILENT]: 'silent',
  [PlanOffer.PLAN_OFFER_INSTALLER]: 'installer',
  [PlanOffer.PLAN_OFFER_LOCAL]: 'local',
  [PlanOffer.PLAN_OFFER_WAIT]: 'wait',
};
const dhcpModes: Readonly<Partial<Record<PlanDhcp, DhcpMode>>> = {
  [PlanDhcp.DHCP_MODE_PROXY]: 'proxy',
  [PlanDhcp.DHCP_MODE_RANGE]: 'range',
  [PlanDhcp.DHCP_MODE_OFF]: 'off',
};

/**
 * Checks all of a plan. It is taken whole or not at all: half a plan would be a decision of our own.
 * @returns problems, a sentence each, with the field, what was found and what is accepted
 */
export function readPlan(given: BootPlan): { plan: RelayPlan } | { problems: readonly string[] } {
  const problems: string[] = [];
  const no = (where: string, found: unknown, accepted: string) => {
    const text = typeof found === 'string' ? JSON.stringify(found.slice(0, 80)) : String(found ?? 'nothing');
    problems.push(`${where}: found ${text}, accepted: ${accepted}`);
  };
  const text = (where: string, found: string, form: RegExp, accepted: string): boolean => {
    if (form.test(found)) return true;
    no(where, found, accepted);
    return false;
  };
  const ipv4 = (where: string, found: string): boolean => {
    if (isIpv4(found)) return true;
    no(where, found, 'an IPv4 address');
    return false;
  };
  const word = (where: string, found: string) => {
    try {
      kernelWord(found, where);
    } catch (error) {
      problems.push((error as Error).message);
    }
  };
  const sizes = new Map<string, number>();
  const ref = (where: string, found: { sha256: string; bytes: bigint } | undefined): CacheRef | undefined => {
    if (found === undefined) return void no(where, found, 'a file');
    const bytes = Number(found.bytes);
    if (!text(`${where}.sha256`, found.sha256, /^[0-9a-f]{64}$/, '64 lower-case hexadecimal digits')) return undefined;
    if (!Number.isSafeInteger(bytes) || bytes <= 0) return void no(`${where}.bytes`, found.bytes, 'more than 0');
    if ((sizes.get(found.sha256) ?? bytes) !== bytes)
      return void no(`${where}.bytes`, bytes, `${sizes.get(found.sha256)}, as elsewhere in the plan`);
    sizes.set(found.sha256, bytes);
    return { sha256: found.sha256, bytes };
  };

  if (given.version <= 0n) no('version', given.version, 'more than 0');
  text('fingerprint', given.fingerprint, /^[0-9a-f]{64}$/, '64 lower-case hexadecimal digits');

  const interfaces: PlannedInterface[] = given.interfaces.flatMap((each, index) => {
    const where = `interfaces[${index}]`;
    const dhcp = dhcpModes[each.dhcp];
    if (dhcp === undefined) no(`${where}.dhcp`, each.dhcp, 'proxy, range or off');
    if (each.router !== '') ipv4(`${where}.router`, each.router);
    for (const [at, address] of each.dns.entries()) ipv4(`${where}.dns[${at}]`, address);
    if (dhcp === 'range' && (each.leaseSeconds < 60 || each.leaseSeconds > 0x7fff_ffff))
      no(`${where}.lease_seconds`, each.leaseSeconds, '60 or more');
    const { name, router, dns, leaseSeconds } = each;
    return dhcp === undefined ? [] : [{ name, dhcp, dns, leaseSeconds, ...(router !== '' && { router }) }];
  });

  const machines = new Map<string, PlannedMachine>();
  const machineOfMac = new Map<Mac, string>();
  const leased = new Map<string, Mac>();
  for (const [index, each] of given.machines.entries()) {
    const where = `machines[${index}]`;
    const offer = offers[each.offer];
    if (!text(`${where}.name`, each.name, /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, 'a name of a host')) continue;
    if (machines.has(each.name)) no(`${where}.name`, each.name, 'each machine once');
    if (!systems.includes(each.system)) no(`${where}.system`, each.system, systems.join(' or '));
    if (offer === undefined) no(`${where}.offer`, each.offer, 'silent, installer, local or wait');
    for (const [at, one] of each.boot.entries()) word(`${where}.boot[${at}]`, one);
    const cards = each.cards.flatMap((card, at): PlannedCard[] => {
      const place = `${where}.cards[${at}]`;
      const mac = parseMac(card.mac);
      if (mac === undefined || mac !== card.mac) {
        no(`${place}.mac`, card.mac, 'a MAC in lower case with colons');
        return [];
      }
      const owner = machineOfMac.get(mac);
      if (owner !== undefined) no(`${place}.mac`, mac, `each MAC once; ${owner} has it`);
      machineOfMac.set(mac, each.name);
      if (card.address !== '' && ipv4(`${place}.address`, card.address)) {
        const other = leased.get(card.address);
        if (other !== undefined) no(`${place}.address`, card.address, `each address once; ${other} has it`);
        leased.set(card.address, mac);
      }
      if (card.tokens.length > mostTokens) no(`${place}.tokens`, card.tokens.length, `at most ${mostTokens}`);
      // Not shown: whoever has one can register as this machine.
      if (!card.tokens.every((token) => /^[0-9a-f]{32}$/.test(token)))
        problems.push(`${place}.tokens: one of them is not 32 lower-case hexadecimal digits`);
      return [{ mac, tokens: card.tokens, ...(card.address !== '' && { address: card.address }) }];
    });
    if (offer !== undefined)
      machines.set(each.name, { name: each.name, system: each.system as System, offer, boot: each.boot, cards });
  }

  const installers = new Map<System, InstallerFiles>();
  const files = new Map<string, CacheRef>();
  for (const [index, each] of given.installers.entries()) {
    const where = `installers[${index}]`;
    if (!systems.includes(each.system)) no(`${where}.system`, each.system, systems.join(' or '));
    if (installers.has(each.system as System)) no(`${where}.system`, each.system, 'each system once');
    for (const [at, one] of each.kernelParams.entries()) word(`${where}.kernel_params[${at}]`, one);
    const kernel = ref(`${where}.kernel`, each.kernel);
    const initrd = ref(`${where}.initrd`, each.initrd);
    const image = each.image && ref(`${where}.image`, each.image);
    const manifest = each.imageManifest && ref(`${where}.image_manifest`, each.imageManifest);
    if ((image === undefined) !== (manifest === undefined))
      no(`${where}.image_manifest`, manifest?.sha256 ?? 'nothing', 'a file beside the image, and none without one');
    if (kernel === undefined || initrd === undefined) continue;
    files.set(`${kernel.sha256}/kernel`, kernel);
    files.set(`${initrd.sha256}/initrd`, initrd);
    if (image !== undefined) files.set(`${image.sha256}/image`, image);
    if (manifest !== undefined) files.set(`${manifest.sha256}/manifest`, manifest);
    installers.set(each.system as System, {
      kernelSha256: kernel.sha256,
      initrdSha256: initrd.sha256,
      ...(manifest === undefined ? {} : { imageManifestSha256: manifest.sha256 }),
      kernelParams: each.kernelParams,
      needsBytes: Number(each.needsBytes),
    });
  }

  const loaders = given.loaders.flatMap((each, index): PlannedLoader[] => {
    const where = `loaders[${index}]`;
    const { firmware, name } = each;
    if (!firmwares.includes(firmware)) no(`${where}.firmware`, firmware, firmwares.join(', '));
    text(`${where}.name`, name, /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'a name without folders');
    const twice = given.loaders.findIndex((one) => one.firmware === firmware || one.name === name);
    if (twice < index) no(where, name, 'one loader for each firmware, each with a name of its own');
    const file = ref(`${where}.file`, each.file);
    if (file !== undefined && file.bytes > largestLoaderBytes)
      no(`${where}.file.bytes`, file.bytes, `at most ${largestLoaderBytes}`);
    return file === undefined ? [] : [{ firmware: firmware as Firmware, name, file }];
  });
  const ahead = given.ahead.flatMap((each, index) => ref(`ahead[${index}]`, each) ?? []);
  if (given.cacheKey !== '')
    text('cache_key', given.cacheKey, /^[^\s:]{1,128}:[A-Za-z0-9+/]{43}=$/, 'a public key of nix, NAME:BASE64');

  if (problems.length > 0) return { problems };
  const { version, fingerprint, cacheKey, loads } = given;
  return {
    plan: {
      version,
      fingerprint,
      interfaces,
      machines,
      machineOfMac,
      installers,
      loaders,
      files,
      ahead,
      loads: loads === 0 ? Number.POSITIVE_INFINITY : loads,
      ...(cacheKey !== '' && { cacheKey }),
    },
  };
}

function isIpv4(text: string): boolean {
  const octets = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1).map(Number);
  return octets?.every((octet) => octet <= 255) ?? false;
}

/** What a machine is offered as things are. @param stale the controller was not heard of for too long: what is decided meanwhile isn't known */
export function offerOf(machine: PlannedMachine, stale: boolean): PlannedMachine['offer'] {
  return stale && machine.offer !== 'local' ? 'silent' : machine.offer;
}

export interface OwnLink {
  readonly name: string;
  readonly address: string;
  readonly prefixLength: number;
}

/**
 * By what DHCP and TFTP answer. Without a plan nothing is answered.
 * @param here names of the loaders that are in memory: a machine hears nothing before all are that its system could want
 */
export function sceneOf(
  plan: RelayPlan | undefined,
  own: readonly OwnLink[],
  parts: { readonly here: ReadonlySet<string>; readonly stale: boolean; readonly httpPort: number },
): Scene {
  const { here, stale, httpPort } = parts;
  if (plan === undefined) return { interfaces: {}, machineOfMac: {}, machines: {}, loaders: {}, httpPort };
  const interfaces: Record<string, SceneInterface> = {};
  for (const { name, address, prefixLength } of own) {
    const planned = plan.interfaces.find((each) => each.name === name);
    if (planned !== undefined) interfaces[name] = { ...planned, address, prefixLength };
  }
  const machines: Record<string, SceneMachine> = {};
  for (const machine of plan.machines.values()) {
    const { name, system, cards } = machine;
    const offer = offerOf(machine, stale);
    const wanted = plan.loaders.filter(({ firmware }) => (firmware === 'arm64') === (system === 'aarch64-linux'));
    const ready = wanted.length > 0 && wanted.every((loader) => here.has(loader.name));
    machines[name] = {
      name,
      system,
      // Whoever has to wait hears so from its script.
      offer: !ready ? 'silent' : offer === 'wait' ? 'installer' : offer,
      addresses: Object.fromEntries(
        cards.flatMap(({ mac, address }) => (address === undefined ? [] : [[mac, address]])),
      ),
    };
  }
  return {
    interfaces,
    machineOfMac: Object.fromEntries(plan.machineOfMac),
    machines,
    loaders: Object.fromEntries(
      plan.loaders.flatMap(({ firmware, name }) => (here.has(name) ? [[firmware, name]] : [])),
    ),
    httpPort,
  };
}
