// V8 compiles what it has seen run often, and machines that are switched on together ask together, in the first second. So what they will ask is put to a
// door that is made like the real one before they come: it answers by the same code, and to nobody.
import { answerDhcp } from '../answer/dhcp.ts';
import type { Scene, SceneInterface, SceneMachine } from '../answer/scene.ts';
import { type Mac, macToBytes } from '../machine/mac.ts';
import { anyAddress } from '../wire/dhcp4/address.ts';
import { addressesBytes, code, messageTypeBytes } from '../wire/dhcp4/options.ts';
import { type DhcpOption, encodeDhcp, latin1Bytes, noOctets } from '../wire/dhcp4/packet.ts';
import { createDhcpDoor } from './dhcp.ts';

export interface WarmUp {
  /** What will be answered by; nothing of it is changed. */
  readonly scene: Scene;
  /** Resolves when others have had their turn; false: that is enough. */
  readonly pause: () => Promise<boolean>;
  /** How many messages are answered. */
  readonly messages?: number;
}

/** A millisecond's work, two of the first ones. */
const messagesAtOnce = 20;
/** Altogether a tenth of a second's work. Few machines are answered in time by the slowest code. */
const messagesForMachine = 40;
const mostMessages = 8000;
/** Machines beyond these would teach nothing more. */
const mostMachines = 16;

/** How many were answered: none where the scene has no machine. */
export async function warmUp({ scene, pause, messages = messagesFor(scene) }: WarmUp): Promise<number> {
  const rehearsal = rehearsalOf(scene);
  const asked = Object.values(rehearsal.interfaces).flatMap((at) => asksOf(rehearsal, at));
  if (asked.length === 0) return 0;
  let nowMs = 0;
  const door = createDhcpDoor({
    scene: () => rehearsal,
    answer: answerDhcp,
    nowMs: () => nowMs,
    onSeen: () => {},
  });
  for (let count = 0; count < messages; count++) {
    nowMs += 1000; // nobody asks too often
    const { bytes, interface: name } = asked[count % asked.length]!;
    door.receive(bytes, { interface: name, port: 67, source: { address: anyAddress, port: 68 } });
    if (count % messagesAtOnce === 0 && !(await pause())) break;
  }
  return door.counters().answered;
}

function messagesFor({ machineOfMac }: Scene): number {
  return Math.min(mostMessages, messagesForMachine * Object.keys(machineOfMac).length);
}

/** Some machines of the scene, as if each were to be installed now. Cloned, because V8 tells objects apart by how they were made. */
function rehearsalOf(scene: Scene): Scene {
  const some = Object.entries(scene.machineOfMac).slice(0, mostMachines) as [Mac, string][];
  const machines = some.flatMap(([, name]) => scene.machines[name] ?? []);
  return structuredClone({
    ...scene,
    machineOfMac: Object.fromEntries(some),
    machines: Object.fromEntries(machines.map((machine) => [machine.name, { ...machine, offer: 'installer' }])),
  });
}

interface Ask {
  readonly bytes: Uint8Array;
  readonly interface: string;
}

/** What each machine asks on an interface: firmware, then iPXE, then the installer, each DISCOVER and REQUEST. */
function asksOf(scene: Scene, at: SceneInterface): Ask[] {
  return (Object.entries(scene.machineOfMac) as [Mac, string][]).flatMap(([mac, name]) => {
    const machine = scene.machines[name];
    return machine === undefined ? [] : clientsOf(machine).flatMap((client) => exchange(mac, machine, client, at));
  });
}

function exchange(mac: Mac, machine: SceneMachine, client: readonly DhcpOption[], at: SceneInterface): Ask[] {
  const chosen: DhcpOption[] = [
    [code.requestedAddress, addressesBytes([machine.addresses[mac] ?? anyAddress])],
    [code.server, addressesBytes([at.address])],
  ];
  return [
    { bytes: message(mac, [[code.messageType, messageTypeBytes('DISCOVER')], ...client]), interface: at.name },
    {
      bytes: message(mac, [[code.messageType, messageTypeBytes('REQUEST')], ...chosen, ...client]),
      interface: at.name,
    },
  ];
}

function clientsOf({ system }: SceneMachine): readonly (readonly DhcpOption[])[] {
  const number = system === 'aarch64-linux' ? 11 : 7; // RFC 4578 2.1
  const firmware: DhcpOption[] = [
    [code.parameters, Uint8Array.of(1, 3, 6, 12, 15, 28, 43, 51, 54, 58, 59, 60, 66, 67, 97)],
    [code.maximumSize, Uint8Array.of(5, 192)],
    [code.architecture, Uint8Array.of(0, number)],
    [code.undi, Uint8Array.of(1, 3, 16)],
    [code.vendorClass, latin1Bytes(`PXEClient:Arch:${String(number).padStart(5, '0')}:UNDI:003016`)],
    [code.uuid, new Uint8Array(17).fill(1, 1)],
  ];
  const ipxe: DhcpOption[] = [...firmware, [code.userClass, latin1Bytes('iPXE')]];
  // Firmware is who comes first and repeats itself.
  return [firmware, firmware, ipxe, [[code.vendorClass, latin1Bytes('nixie-agent')]]];
}

function message(mac: Mac, options: readonly DhcpOption[]): Uint8Array {
  const chaddr = new Uint8Array(16);
  chaddr.set(macToBytes(mac));
  const header = { op: 1, htype: 1, hlen: 6, hops: 0, xid: 0x6e697869, secs: 0, flags: 0x8000 };
  const unset = { ciaddr: anyAddress, yiaddr: anyAddress, siaddr: anyAddress, giaddr: anyAddress };
  return encodeDhcp({ ...header, ...unset, chaddr, sname: noOctets, file: noOctets, options });
}
