// The DHCP server of an isolated network (RFC 2131 4.3). Every machine's address was assigned before; no packet makes or frees a lease, so
// one MAC has one address through firmware, iPXE, installer and installed system, whatever they call themselves in option 61.
import { anyAddress, sameNetwork } from '../wire/dhcp4/address.ts';
import { code, readAddresses } from '../wire/dhcp4/options.ts';
import { noOctets, option } from '../wire/dhcp4/packet.ts';
import { type Answer, type Asked, bootOf, choseUs } from './asked.ts';
import { wantsBoot } from './firmware.ts';
import { buildReply, type Network } from './reply.ts';

/** The network that the client is in; undefined when it has no address there. */
function networkOf({ at, subnet }: Asked, address: string): Network | undefined {
  if (!sameNetwork(address, subnet.address, subnet.prefixLength)) return undefined;
  return {
    prefixLength: subnet.prefixLength,
    dns: at.dns,
    ...(at.router === undefined ? {} : { router: at.router }),
  };
}

/** The address that a REQUEST is about (RFC 2131 4.3.2), and which of its states the client is in. */
function requested(asked: Asked): string | undefined {
  const { packet } = asked.request;
  const wanted = readAddresses(option(packet, code.requestedAddress) ?? noOctets)?.[0];
  // SELECTING and INIT-REBOOT name it in option 50; RENEWING and REBINDING hold it: ciaddr.
  return packet.ciaddr !== anyAddress ? packet.ciaddr : wanted;
}

export function answerLease(asked: Asked): Answer {
  const { type, machine, mac, at } = asked;
  if (type === 'RELEASE') return { kind: 'silence', why: 'released' };
  if (type === 'DECLINE') {
    const address = readAddresses(option(asked.request.packet, code.requestedAddress) ?? noOctets)?.[0];
    return { kind: 'silence', why: 'declined', ...(address === undefined ? {} : { detail: address }) };
  }
  if (type === 'REQUEST' && choseUs(asked) === false) return { kind: 'silence', why: 'another server was chosen' };
  const address = machine.addresses[mac];
  if (address === undefined) return { kind: 'silence', why: 'no address' };
  const network = networkOf(asked, address);
  if (network === undefined) return { kind: 'silence', why: 'another network', detail: `its address is ${address}` };
  if (type === 'REQUEST') {
    const about = requested(asked);
    if (about === undefined) return { kind: 'silence', why: 'asks for nothing' };
    // We know this machine and its only address, so we may say no with authority.
    if (about !== address) {
      const relayed = asked.request.packet.giaddr !== anyAddress; // RFC 2131 4.3.2: the relay must broadcast a NAK
      return {
        kind: 'reply',
        why: 'address refused',
        packet: buildReply(asked, { type: 'NAK', proxy: false, broadcast: relayed }),
      };
    }
  }
  // An answer without it would take the router from the client. At rebinding it asks everybody, so the relay as well (RFC 2131 4.4.5).
  if (at.routerUnknown === true) return { kind: 'silence', why: 'router unknown' };
  const boot = wantsBoot(asked.client) ? bootOf(asked) : undefined;
  // An address without a boot file makes firmware wait for a minute, so it hears nothing instead.
  if (boot?.kind === 'none') return { ...boot, kind: 'silence' };
  const file = boot === undefined ? {} : { boot };
  const said = boot === undefined ? {} : { file: boot.file };
  if (type === 'INFORM') return answerInform(asked, network, file, said);
  const offer = type === 'DISCOVER';
  const packet = buildReply(asked, {
    type: offer ? 'OFFER' : 'ACK',
    proxy: false,
    broadcast: false,
    address,
    network,
    leaseSeconds: at.leaseSeconds,
    ...file,
  });
  return { kind: 'reply', packet, why: offer ? 'address offered' : 'address confirmed', ...said };
}

/** RFC 2131 4.3.5: settings for a client that has its address, sent to it. */
function answerInform(asked: Asked, network: Network, boot: object, said: object): Answer {
  const { packet } = asked.request;
  // ciaddr is where the reply goes: it must be of the client's own network, or anybody could be sent datagrams.
  if (packet.ciaddr === anyAddress || packet.ciaddr !== asked.machine.addresses[asked.mac]) {
    return { kind: 'silence', why: 'another network', detail: `it says it has ${packet.ciaddr}` };
  }
  return {
    kind: 'reply',
    why: 'settings only',
    packet: buildReply(asked, { type: 'ACK', proxy: false, broadcast: false, network, ...boot }),
    ...said,
  };
}
