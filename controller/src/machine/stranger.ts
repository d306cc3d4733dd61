// Machines that asked to boot from the network and are in no hosts file: what is known of each, and the line that would let it in. Pure but for
// the memory, which is bounded: whoever asks with ever new addresses pushes out those that asked once.
import type { System } from './host.ts';
import type { Mac } from './mac.ts';

/** What firmware says of itself in a DHCP message. Text of a stranger. */
export interface StrangerWords {
  /** Of the IANA registry: `x64-efi`. */
  readonly architecture?: string;
  /** Option 60. */
  readonly vendorClass?: string;
  /** Of its SMBIOS, option 97: as `product_uuid` shows it. */
  readonly uuid?: string;
}

export interface Stranger extends StrangerWords {
  readonly mac: Mac;
  /** Of ours, or of the relay, that it was heard on last. */
  readonly interface?: string;
  /** The `nixie relay` that heard it; absent: we. */
  readonly relay?: string;
  /** Milliseconds of the wall clock. */
  readonly firstSeen: number;
  readonly lastSeen: number;
  /** How often it asked. */
  readonly asked: number;
}

export class StrangerBook {
  readonly #most: number;
  /** The one heard longest ago first. */
  readonly #known = new Map<string, Stranger>();
  #forgotten = 0;

  constructor(most = 256) {
    this.#most = most;
  }

  heard(mac: Mac, words: StrangerWords & { readonly interface?: string; readonly relay?: string }, now: number): void {
    // Two sites may have the same MAC.
    const key = words.relay === undefined ? mac : `${mac} ${words.relay}`;
    const before = this.#known.get(key);
    this.#known.delete(key);
    if (before === undefined && this.#known.size >= this.#most) this.#forgetOne();
    const asked = (before?.asked ?? 0) + 1;
    this.#known.set(key, { ...before, ...words, mac, firstSeen: before?.firstSeen ?? now, lastSeen: now, asked });
  }

  #forgetOne(): void {
    const once = [...this.#known].find(([, { asked }]) => asked === 1);
    const oldest = once?.[0] ?? this.#known.keys().next().value;
    if (oldest !== undefined) this.#known.delete(oldest);
    this.#forgotten++;
  }

  /** It is in the hosts file by now. */
  forget(mac: Mac): void {
    this.#known.delete(mac);
  }

  /** In the order in which they were heard first. */
  all(): readonly Stranger[] {
    return [...this.#known.values()].sort((a, b) => a.firstSeen - b.firstSeen);
  }

  /** How many were pushed out. */
  get forgotten(): number {
    return this.#forgotten;
  }
}

/** The platform that such firmware boots; undefined: not said, or none that Nixie installs. */
export function systemOf({ architecture }: StrangerWords): System | undefined {
  if (architecture === undefined) return undefined;
  if (/^(?:x64|x86|ebc)-/.test(architecture)) return 'x86_64-linux';
  return architecture.startsWith('arm64-') ? 'aarch64-linux' : undefined;
}

/** `"machine-000001": { "mac_address": "52:54:00:00:00:01" }`: an entry of a hosts file. */
export function hostsLine(stranger: Pick<Stranger, 'mac' | 'relay'> & StrangerWords): string {
  const system =
    (systemOf(stranger) === 'aarch64-linux' ? ', "system": "aarch64-linux"' : '') +
    (stranger.relay === undefined ? '' : `, "relay": "${stranger.relay}"`);
  return `"machine-${stranger.mac.replaceAll(':', '').slice(6)}": { "mac_address": "${stranger.mac}"${system} }`;
}

/** `52:54:00:00:00:01 asked to boot (x64-efi, UUID …, on eth1)` */
export function strangerText({
  mac,
  architecture,
  vendorClass,
  uuid,
  interface: at,
  relay,
}: Omit<Stranger, 'firstSeen' | 'lastSeen' | 'asked'>): string {
  const words = [
    architecture ?? vendorClass,
    uuid && `UUID ${uuid}`,
    at && `on ${at}`,
    relay && `behind ${relay}`,
  ].filter((word) => word);
  return `${mac} asked to boot${words.length === 0 ? '' : ` (${words.join(', ')})`}`;
}
