// DHCP as a client does it, with packets that get lost: DISCOVER, OFFER, REQUEST, ACK, and beside another server the boot file from us.

import type { Machine } from './machine.ts';
import { foreignServer, link, type Network } from './network.ts';
import { hear, say, type Words, words } from './packets.ts';
import type { Random } from './random.ts';

export interface Asking {
  readonly machine: Machine;
  readonly network: Network;
  readonly random: Random;
  readonly signal: AbortSignal;
  readonly tries: number;
  /** Pause after the first try, milliseconds; it doubles. */
  readonly firstMs: number;
  /** The address is taken. */
  have(address: string): void;
}

/** The boot file that it was told, empty for none; undefined: no address. */
export async function lease(client: Words, asking: Asking): Promise<string | undefined> {
  const { machine, network, random, signal, tries, firstMs, have } = asking;
  const { clock } = network.lan;
  const xid = random.int(1, 0xffff_ffff);
  const wantsFile = client !== words.agent && client !== words.system;
  const said = { mac: machine.mac, xid };
  const broadcast = { address: '0.0.0.0', port: 68 };
  for (let round = 0; round < tries && !signal.aborted; round++) {
    await clock.sleep(round > 0 ? firstMs * 2 ** (round - 1) : random.int(50, 900), signal);
    if (signal.aborted) return undefined;
    const offer = network.ask(machine, say(client.discover, said), 67, broadcast);
    const heard = offer === undefined ? undefined : hear(offer);
    if (network.lan.mode === 'proxy') {
      if (!machine.linked || (heard === undefined && wantsFile)) continue;
      const address = network.foreignLease(`${machine.mac}/${client === words.system ? 'system' : 'firmware'}`);
      have(address);
      let file = heard?.file ?? '';
      if (client.bootServer !== undefined) {
        const bytes = say(client.bootServer, { ...said, ciaddr: address, server: link.address });
        const answer = network.ask(machine, bytes, 4011, { address, port: 4011 });
        if (answer !== undefined) file = hear(answer).file;
      }
      network.ask(machine, say(client.request, { ...said, address, server: foreignServer }), 67, broadcast);
      return file;
    }
    if (heard?.address === undefined || heard.xid !== xid) continue;
    await clock.sleep(random.int(10, 100), signal);
    if (signal.aborted) return undefined;
    const { address, server } = heard;
    const answer = network.ask(machine, say(client.request, { ...said, address, server }), 67, broadcast);
    const granted = answer === undefined ? undefined : hear(answer);
    if (granted?.type !== 'ACK' || granted.address !== address) continue;
    have(address);
    return granted.file;
  }
  return undefined;
}
