// The socket by which a network is asked who is there: its datagrams leave by that interface, also where two have the same private network.
import type { PokeSocket } from '../install/find.ts';
import { openSender, type WakeFrom } from './wake.ts';

/** @throws Error that says what the kernel refused */
export async function openPoke(from: WakeFrom): Promise<PokeSocket> {
  const socket = await openSender(from);
  socket.on('error', () => {});
  return {
    send: (address, port, failed) =>
      socket.send(new Uint8Array(0), port, address, (error) => {
        if (error) failed(error);
      }),
    close: () => socket.close(),
  };
}
