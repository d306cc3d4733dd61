// Entries of a trail in words, for evidence.
import type { Entry } from './trail.ts';

/** `DISCOVER of firmware (pxe): proxy offer snponly.efi`, without its time. */
export function describe(entry: Entry): string {
  const { kind, why, detail, asked, client, port, server, done, total, blockSize, again } = entry;
  const more = detail === undefined ? '' : `: ${detail}`;
  const of = client === undefined ? '' : ` of ${clientNames[client]}`;
  const where = port === 4011 ? ' to port 4011' : '';
  const blocks =
    blockSize === undefined
      ? ''
      : ` (${done ?? 0} of ${total ?? '?'} blocks of ${blockSize} bytes acknowledged, ${again ?? 0} sent again)`;
  const bytes = done === undefined || blockSize !== undefined ? '' : ` (${done} of ${total ?? '?'} bytes)`;
  switch (kind) {
    case 'dhcp-answered':
      return `${asked ?? 'DHCP'}${of}${where}, answered: ${why}${more}`;
    case 'dhcp-silent':
      return `${asked ?? 'DHCP'}${of}${where}, not answered: ${why}${more}${server === undefined ? '' : `, server ${server}`}`;
    case 'other-offer':
      return `offer of another server ${server ?? ''}: ${why}${more}`;
    case 'file-sending':
    case 'file-sent':
    case 'file-cut':
      return `${detail ?? 'file'} ${kind === 'file-sending' ? 'being sent' : kind === 'file-sent' ? 'sent' : 'cut off'}${bytes}`;
    default: {
      const name = kindNames[kind] ?? kind;
      return `${name}${why === undefined ? '' : ` (${why})`}${more}${blocks}`;
    }
  }
}

const clientNames = {
  http: 'UEFI HTTP Boot',
  ipxe: 'iPXE',
  'small-ipxe': 'a small iPXE',
  pxe: 'firmware',
  agent: 'the installer',
  system: 'an operating system',
  plain: 'an operating system',
} as const;

const kindNames: Readonly<Partial<Record<Entry['kind'], string>>> = {
  'dhcp-malformed': 'unreadable DHCP message',
  'dhcp-limited': 'asks too often',
  'dhcp-flood': 'flood',
  'dhcp-unsent': 'reply not sent',
  'tftp-started': 'TFTP request',
  'tftp-resending': 'TFTP repeats one block',
  'tftp-sent': 'TFTP file sent',
  'tftp-probed': 'TFTP size asked',
  'tftp-stopped': 'TFTP stopped',
  'tftp-refused': 'TFTP refused',
  'http-script': 'boot script fetched',
  'http-file': 'loader fetched by HTTP',
  'http-refused': 'HTTP refused',
  'agent-registered': 'agent registered',
  'agent-refused': 'agent refused',
  'agent-up': "agent's session began",
  'agent-down': "agent's session ended",
  'cache-unused': 'binary cache not used',
  relay: 'its relay',
  listening: 'offers of other servers can be heard',
};
