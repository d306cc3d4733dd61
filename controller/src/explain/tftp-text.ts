// TFTP packets as one line of text.
import { decodeTftp, type TftpOption, type TftpPacket } from '../wire/tftp/packet.ts';

export { decodeTftp, type TftpPacket };

const options = (list: readonly TftpOption[]): string => list.map(([name, value]) => ` ${name}=${value}`).join('');

/** Control characters of what a client sent must not reach a terminal. */
function plain(text: string): string {
  return text.replace(/[^ -~]/g, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

export function printTftp(packet: TftpPacket): string {
  switch (packet.op) {
    case 'read':
      return plain(`RRQ "${packet.name}" ${packet.mode}${options(packet.options)}`);
    case 'write':
      return plain(`WRQ "${packet.name}" ${packet.mode}${options(packet.options)}`);
    case 'data':
      return `DATA block ${packet.block}, ${packet.data.length} octets`;
    case 'ack':
      return `ACK block ${packet.block}`;
    case 'error':
      return plain(`ERROR ${packet.code} "${packet.message}"`);
    case 'oack':
      return plain(`OACK${options(packet.options)}`);
  }
}
