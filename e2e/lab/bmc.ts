// The virtual BMC: the only thing in the lab that powers machines on. A magic packet for a machine that is off starts it; for one that is on
// it changes nothing. QEMU has no suspended network card, so the listener stands in for it.

import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Child, start } from './child.ts';
import type { Network } from './net.ts';
import { patienceMs } from './patience.ts';
import type { Machine } from './qemu.ts';

export interface MagicPacket {
  readonly mac: string;
  readonly port: number;
  readonly from: string;
  readonly secureOn?: string;
  /** Date.now() */
  readonly at: number;
  /** It powered a machine on. */
  readonly woke: boolean;
}

export interface Bmc {
  readonly packets: readonly MagicPacket[];
  /** While false, packets are heard and written down, and start nothing. */
  armed: boolean;
  stop(): Promise<void>;
}

const listener = fileURLToPath(new URL('./bmc-listener.ts', import.meta.url));

export async function startBmc(
  net: Network,
  machines: readonly Machine[],
  options: { deadlineMs: number; onWake?: (machine: Machine, packet: MagicPacket) => void },
): Promise<Bmc> {
  const packets: MagicPacket[] = [];
  const listening = new Set<number>();
  let ready: () => void = () => {};
  const bothPorts = new Promise<void>((resolve) => {
    ready = resolve;
  });
  const bmc = { packets, armed: true, stop: async (): Promise<void> => {} };

  const heard = (line: string): void => {
    const seen = JSON.parse(line) as { listening?: number; mac: string; port: number; from: string; secureOn?: string };
    if (seen.listening !== undefined) {
      if (listening.add(seen.listening).size === 2) ready();
      return;
    }
    const machine = machines.find((candidate) => candidate.macs.includes(seen.mac));
    const woke = bmc.armed && machine !== undefined && !machine.on;
    const packet = { ...seen, at: Date.now(), woke };
    if (packets.length < 10_000) packets.push(packet);
    if (!woke) return;
    machine.powerOn();
    options.onWake?.(machine, packet);
  };

  let words = '';
  const child: Child = start(net.inside(net.lan, [process.execPath, listener]), {
    deadlineMs: options.deadlineMs,
    onLine: (line, from) => {
      if (from === 'out') heard(line);
      else words = `${words}${line}\n`.slice(-2000);
    },
  });
  bmc.stop = async () => {
    await child.stop(2000);
  };
  const late = sleep(patienceMs, 'late', { ref: false });
  const ended = child.exited.then(
    () => 'ended',
    () => 'ended',
  );
  const outcome = await Promise.race([bothPorts, late, ended]);
  if (typeof outcome === 'string') {
    await bmc.stop();
    throw new Error(`virtual BMC ${outcome === 'late' ? 'is not ready' : 'ended'}: ${words}`);
  }
  return bmc;
}
