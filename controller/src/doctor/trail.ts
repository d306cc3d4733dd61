// The trail of a machine: what was seen of it, in order, folded and bounded. People and the doctor read it; nobody decides from it.
import type { ClientKind } from '../answer/firmware.ts';
import type { Stage } from '../machine/stage.ts';
import type { MessageType } from '../wire/dhcp4/options.ts';

/** What can stand in a trail. The words of `why` belong to the part that decided. */
export const noteKinds = [
  'dhcp-answered',
  'dhcp-silent',
  'dhcp-malformed',
  'dhcp-limited',
  'dhcp-flood', // of no machine
  'dhcp-unsent',
  'other-offer', // another server's offer to this machine; `server` says whose
  'tftp-started',
  'tftp-resending', // one block was sent again and again, and the transfer goes on trying
  'tftp-sent',
  'tftp-probed',
  'tftp-stopped',
  'tftp-refused',
  'http-script',
  'http-file',
  'http-refused',
  'file-sending', // of the installer: kernel or initrd
  'file-sent',
  'file-cut', // the connection ended before the file did
  'agent-registered',
  'agent-refused',
  'agent-up',
  'agent-down',
  'cache-unused', // the binary cache was offered to it, and not used; `detail` says why
  'relay', // the relay that it is behind; `why` is `up`, `away`, `refused` or `no-plan`, `detail` says more
  'listening', // of no machine: whether offers of other servers can be heard here; `why` is `yes` or `no`
] as const;
export type NoteKind = (typeof noteKinds)[number];

/** One thing that was seen. Unknown is absent. */
export interface Note {
  readonly kind: NoteKind;
  readonly why?: string;
  readonly detail?: string;
  readonly interface?: string;
  /** Relay that passed a DHCP message on. */
  readonly giaddr?: string;
  /** Of a DHCP message. */
  readonly asked?: MessageType;
  readonly client?: ClientKind;
  /** The port of ours that a DHCP message came to. */
  readonly port?: number;
  /** Another DHCP server: the one that a REQUEST chose (option 54), or that made an offer. */
  readonly server?: string;
  /** A machine that is in no hosts file. */
  readonly mac?: string;
  /** Bytes of a file, or blocks of a TFTP transfer that were acknowledged. */
  readonly done?: number;
  readonly total?: number;
  /** TFTP: bytes of a block, and datagrams sent again. */
  readonly blockSize?: number;
  readonly again?: number;
}

/** Equal notes of one attempt are one entry. Times are milliseconds of the wall clock. */
export interface Entry extends Note {
  /** Boots of this machine, counted from 1. */
  readonly attempt: number;
  readonly first: number;
  readonly last: number;
  readonly count: number;
}

export interface StageEntry {
  readonly stage: Stage;
  readonly at: number;
  readonly reason?: string;
  readonly address?: string;
}

export interface Trail {
  readonly host: string;
  /** In the order in which they were entered. */
  readonly stages: readonly StageEntry[];
  /** By the time at which each began. */
  readonly entries: readonly Entry[];
  /** Of no machine: strangers that asked to boot, floods, what could be heard. */
  readonly around: readonly Entry[];
}

/** Same key, same entry: all that is not a measure. */
export function keyOf(note: Note): string {
  const { kind, why, detail, interface: link, giaddr, asked, client, port, server, mac } = note;
  return JSON.stringify([kind, why, detail, link, asked, client, port, server, mac, giaddr]);
}

/** How far a boot has come by a note; undefined when the note says nothing about that. */
export function phaseOf(note: Note): number | undefined {
  const { kind, client, port } = note;
  if (kind === 'dhcp-answered' || kind === 'dhcp-silent') {
    if (client === 'pxe' || client === 'http' || client === 'small-ipxe') return port === 4011 ? 2 : 1;
    if (client === 'ipxe') return 4;
    return client === undefined ? undefined : 7;
  }
  if (kind.startsWith('tftp-') || kind === 'http-file') return 3;
  if (kind === 'http-script' || kind === 'http-refused') return 5;
  if (kind.startsWith('file-')) return 6;
  return kind.startsWith('agent-') ? 8 : undefined;
}
