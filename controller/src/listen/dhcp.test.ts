import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import type { Scene } from '../answer/scene.ts';
import type { Mac } from '../machine/mac.ts';
import type { AddressUse } from './address-users.ts';
import { type AnswerDhcp, createDhcpDoor } from './dhcp.ts';
import type { Seen } from './seen.ts';

const mac = '52:54:00:00:00:01' as Mac;
const scene: Scene = {
  interfaces: {},
  machineOfMac: { [mac]: 'm1' },
  machines: {},
  loaders: {},
  httpPort: 7480,
};
const at = { interface: 'lan0', port: 67 as const, source: { address: '0.0.0.0', port: 68 } };

function discover(last: number, fourth = 0): Uint8Array {
  const bytes = new Uint8Array(300);
  bytes.set([1, 1, 6, 0]);
  bytes.set([0x52, 0x54, 0, fourth, 0, last], 28);
  bytes.set([0x63, 0x82, 0x53, 0x63, 53, 1, 1, 50, 4, 10, 0, 0, 9, 255], 236);
  return bytes;
}

function door(answer: AnswerDhcp) {
  const seen: Seen[] = [];
  const clock = { nowMs: 0 };
  const uses: AddressUse[] = [];
  const told = { onSeen: (one: Seen) => seen.push(one), onUse: (one: AddressUse) => uses.push(one) };
  const parts = { scene: () => scene, answer, nowMs: () => clock.nowMs, ...told };
  return { door: createDhcpDoor(parts), seen, uses, clock };
}
function changingDoor() {
  const current = { of: scene };
  const parts = { scene: () => current.of, answer: silent, nowMs: () => 0, onSeen: () => {} };
  return { door: createDhcpDoor(parts), scene: current };
}
const silent: AnswerDhcp = () => ({ kind: 'silence', why: 'unknown machine' });

test('a reply is encoded and goes where the answer says; what was seen carries the word', () => {
  const {
    door: one,
    seen,
    uses,
  } = door(({ packet }) => ({
    kind: 'reply',
    packet: { ...packet, op: 2, yiaddr: '10.0.0.9' },
    to: { address: '255.255.255.255', port: 68 },
    machine: 'm1',
    mac,
    client: 'pxe',
    why: 'address offered',
    file: 'snponly.efi',
  }));
  const reply = one.receive(discover(1), at)!;
  assert.equal(reply.bytes[0], 2);
  assert.deepEqual(reply.to, { address: '255.255.255.255', port: 68 });
  const want = {
    kind: 'dhcp-answered',
    mac,
    machine: 'm1',
    interface: 'lan0',
    port: 67,
    asked: 'DISCOVER',
    client: 'pxe',
    why: 'address offered',
    detail: 'snponly.efi',
  };
  assert.deepEqual(seen, [want]);
  assert.deepEqual(uses, [{ interface: 'lan0', address: '10.0.0.9', mac }], 'once, though asked for and given');
  one.receive(discover(1), { ...at, interface: 'lan1' });
  assert.equal(uses[1]?.interface, 'lan1', 'another interface may have the same private addresses');
});

test('a machine of ours that asks too fast is limited, alone', () => {
  const { door: one, seen, clock } = door(silent);
  for (let index = 0; index < 100; index++) one.receive(discover(1), at);
  assert.deepEqual([one.counters().silent, one.counters().limited], [40, 60]);
  assert.equal(seen.filter(({ kind }) => kind === 'dhcp-limited').length, 1);
  clock.nowMs = 1000;
  one.receive(discover(1), at);
  assert.equal(one.counters().silent, 41);
});

test('a new scene gives a machine that asked too fast no new start', () => {
  const { door: one, scene: current } = changingDoor();
  for (let index = 0; index < 100; index++) {
    current.of = { ...scene, machineOfMac: { ...scene.machineOfMac } };
    one.receive(discover(1), at);
  }
  assert.deepEqual([one.counters().silent, one.counters().limited], [40, 60]);
});

test('a flood of strangers takes nothing from ours', () => {
  const { door: one } = door(silent);
  for (let index = 0; index < 20_000; index++) one.receive(discover(index & 255, 1 + (index >> 8)), at);
  assert.equal(one.counters().strangersDropped, 19_000);
  one.receive(discover(1), at);
  assert.equal(one.counters().silent, 1001);
});

test('who is listed is read from the scene of the moment; a cut off message is nobody’s', () => {
  const { door: one, scene: current } = changingDoor();
  for (let index = 0; index < 1001; index++) one.receive(discover(9, 9), at); // no stranger is looked at any more
  const looked = (bytes: Uint8Array): boolean => {
    const before = one.counters().silent;
    one.receive(bytes, at);
    return one.counters().silent > before;
  };
  assert.deepEqual(
    [looked(discover(1)), looked(discover(2)), looked(discover(1).subarray(0, 33))],
    [true, false, false],
  );
  const high = 'fe:ff:ff:ff:ff:ff' as Mac; // all 48 bits count
  current.of = { ...scene, machineOfMac: { [high]: 'm2' } };
  const asked = discover(1);
  asked.set([0xfe, 0xff, 0xff, 0xff, 0xff, 0xff], 28);
  assert.deepEqual([looked(discover(1)), looked(asked)], [false, true]);
  asked[28] = 0xfc;
  assert.equal(looked(asked), false);
});

test('neither bad bytes nor a failing answer end it', () => {
  const { door: one, seen } = door(() => {
    throw new Error('broken rule');
  });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      assert.equal(one.receive(bytes, at), undefined);
    }),
  );
  assert.equal(one.receive(discover(1), at), undefined);
  assert.deepEqual(
    [seen.at(-1)?.kind, seen.at(-1)?.why, seen.at(-1)?.detail],
    ['dhcp-malformed', 'broken', 'broken rule'],
  );
});

test('of a machine of nobody that wants to boot is told what it says of itself', () => {
  const { door: one, seen } = door(silent);
  const options = (...bytes: number[]) => {
    const packet = discover(9);
    packet.set([...bytes, 255], 243);
    return packet;
  };
  const text = (code: number, words: string) => [code, words.length, ...Buffer.from(words)];
  const uuid = [97, 17, 0, 4, 3, 2, 1, 6, 5, 8, 7, 9, 10, 11, 12, 13, 14, 15, 16];
  one.receive(options(...text(60, 'PXEClient:Arch:00007'), 93, 2, 0, 7, ...uuid.slice(0, 19)), at);
  one.receive(options(...text(60, 'MSFT 5.0')), at);
  assert.deepEqual(
    seen.map(({ stranger }) => stranger),
    [
      {
        architecture: 'x64-efi',
        vendorClass: 'PXEClient:Arch:00007',
        uuid: '01020304-0506-0708-090a-0b0c0d0e0f10',
      },
      undefined,
    ],
  );
});
