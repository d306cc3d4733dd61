// Wake-on-LAN: six bytes ff, the MAC sixteen times, and the card's SecureOn password if it asks for one (AMD Magic Packet, 20213).

/**
 * The magic packet of 102, 106 or 108 bytes.
 * @param mac six octets
 * @param secureOn password of 4 or 6 bytes
 * @throws RangeError for other lengths
 */
export function encodeMagicPacket(mac: Uint8Array, secureOn?: Uint8Array): Uint8Array {
  if (mac.length !== 6) throw new RangeError(`magic packet: a MAC has 6 octets, given ${mac.length}`);
  const password = secureOn ?? new Uint8Array(0);
  if (secureOn && secureOn.length !== 4 && secureOn.length !== 6) {
    throw new RangeError(`magic packet: a SecureOn password has 4 or 6 bytes, given ${secureOn.length}`);
  }
  const packet = new Uint8Array(6 + 16 * 6 + password.length);
  packet.fill(0xff, 0, 6);
  for (let copy = 0; copy < 16; copy++) packet.set(mac, 6 + copy * 6);
  packet.set(password, 102);
  return packet;
}

/** The MAC (6 octets) and the password (0, 4 or 6 bytes) of a datagram that holds a magic packet anywhere; undefined if it holds none. */
export function decodeMagicPacket(bytes: Uint8Array): { mac: Uint8Array; secureOn: Uint8Array } | undefined {
  for (let start = 0; start + 102 <= bytes.length; start++) {
    let sync = 0;
    while (sync < 6 && bytes[start + sync] === 0xff) sync++;
    if (sync < 6) continue;
    let same = true;
    for (let at = start + 12; same && at < start + 102; at++) same = bytes[at] === bytes[at - 6];
    if (!same) continue;
    const rest = bytes.length - start - 102;
    return {
      mac: bytes.slice(start + 6, start + 12),
      secureOn: rest === 4 || rest === 6 ? bytes.slice(start + 102) : new Uint8Array(0),
    };
  }
  return undefined;
}
