// Requests from behind relays: whose network it is, and what of us is told there.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { DhcpOption, DhcpPacket } from '../wire/dhcp4/packet.ts';
import { answerDhcp, type DhcpDecision, type DhcpRequest } from './dhcp.ts';
import type { Scene, SceneInterface, SceneMachine, SceneNetwork } from './scene.ts';
import { address, asks, clients, hexOf, mac, reply, scene, typeOf } from './testing.ts';

const far: SceneNetwork = {
  key: '10.78.0.0/24',
  address: '10.78.0.0',
  prefixLength: 24,
  dhcp: 'range',
  addresses: { [mac]: '10.78.0.107' },
};
const relayed = { giaddr: '10.78.0.254', hops: 1 };

interface Setting {
  mode?: 'proxy' | 'range' | 'off';
  networks?: SceneNetwork[];
  machine?: Partial<SceneMachine>;
  link?: Partial<SceneInterface>;
}

function ask(packet: DhcpPacket, setting: Setting = {}, over: Partial<DhcpRequest> = {}): DhcpDecision {
  const base = scene({ mode: setting.mode ?? 'proxy' });
  const { networks = [far] } = setting;
  const changed: Scene = {
    ...base,
    interfaces: { br0: { ...base.interfaces.br0!, ...setting.link, networks } },
    machines: { machine1: { ...base.machines.machine1!, ...setting.machine } },
  };
  const source = { address: '10.77.0.254', port: 67 };
  return answerDhcp({ packet, interface: 'br0', port: 67, source, ...over }, changed);
}
const why = (decision: DhcpDecision) => `${decision.kind}: ${decision.why}`;

test('a subnet has its own role, whatever that of the interface is', () => {
  const offer = reply(ask(asks('DISCOVER', 'uefi', relayed), { mode: 'proxy' }));
  assert.equal(offer.why, 'address offered');
  assert.equal(offer.packet.yiaddr, '10.78.0.107');
  const proxied = reply(
    ask(asks('DISCOVER', 'uefi', relayed), { mode: 'range', networks: [{ ...far, dhcp: 'proxy' }] }),
  );
  assert.equal(proxied.why, 'proxy offer');
  assert.equal(proxied.packet.yiaddr, '0.0.0.0');
  assert.deepEqual(proxied.to, { address: '10.78.0.254', port: 67 });
});

test('mask and broadcast are those of the subnet; its router is the relay unless another is declared', () => {
  const wide = { ...far, key: '10.78.0.0/16', prefixLength: 16 };
  const { packet } = reply(ask(asks('DISCOVER', 'agent', relayed), { networks: [wide] }));
  assert.deepEqual(
    [1, 3, 28].map((code) => hexOf(packet, code)),
    ['ffff0000', '0a4e00fe', '0a4effff'],
  );
  const told = reply(ask(asks('DISCOVER', 'agent', relayed), { networks: [{ ...far, router: '10.78.0.1' }] }));
  assert.equal(hexOf(told.packet, 3), '0a4e0001');
  assert.equal(hexOf(told.packet, 6), undefined);
  const named = reply(
    ask(asks('DISCOVER', 'agent', relayed), { networks: [{ ...far, dns: ['10.0.0.53', '9.9.9.9'] }] }),
  );
  assert.equal(hexOf(named.packet, 6), '0a00003509090909');
  const inform = [address(50, '10.78.0.107')];
  const renewed = reply(ask(asks('REQUEST', 'agent', relayed, inform), { networks: [{ ...far, dns: ['9.9.9.9'] }] }));
  assert.equal(hexOf(renewed.packet, 6), '09090909');
});

test('our address there is in all that names us', () => {
  const networks = [{ ...far, controller: '203.0.113.7' }];
  const ipxe = reply(ask(asks('DISCOVER', 'ipxe', relayed), { networks }));
  assert.equal(ipxe.file, 'http://203.0.113.7:7480/boot/52-54-00-77-00-01.ipxe');
  const { packet } = reply(ask(asks('DISCOVER', 'uefi', relayed), { networks }));
  assert.deepEqual([packet.siaddr, hexOf(packet, 54)], ['203.0.113.7', 'cb007107']);
  const chosen = [address(54, '203.0.113.7'), address(50, '10.78.0.107')];
  assert.equal(typeOf(reply(ask(asks('REQUEST', 'uefi', relayed, chosen), { networks })).packet), 'ACK');
  const another = [address(54, '10.77.0.1'), address(50, '10.78.0.107')];
  assert.equal(why(ask(asks('REQUEST', 'uefi', relayed, another), { networks })), 'silence: another server was chosen');
});

test('port 4011 is asked past the relay: the network is that of the address that asks', () => {
  const networks = [{ ...far, dhcp: 'proxy' as const, controller: '203.0.113.7' }];
  const from = { port: 4011, source: { address: '10.78.0.9', port: 4011 } };
  for (const ciaddr of ['10.78.0.9', '0.0.0.0']) {
    const decision = reply(ask(asks('REQUEST', 'uefi', { ciaddr }), { networks }, from));
    assert.equal(decision.packet.siaddr, '203.0.113.7');
    assert.deepEqual(decision.relay, { address: '10.78.0.0', subnet: '10.78.0.0/24' });
    assert.deepEqual(decision.to, from.source);
  }
});

test('a renewal comes past the relay; without a declared router it is left to the rebinding, which the relay hears', () => {
  const renewal = asks('REQUEST', 'system', { ciaddr: '10.78.0.107' });
  const from = { source: { address: '10.78.0.107', port: 68 } };
  assert.equal(why(ask(renewal, {}, from)), 'silence: router unknown');
  const told = reply(ask(renewal, { networks: [{ ...far, router: '10.78.0.1' }] }, from));
  assert.deepEqual(told.to, { address: '10.78.0.107', port: 68 });
  assert.equal(hexOf(told.packet, 3), '0a4e0001');
  const rebinding = reply(ask(asks('REQUEST', 'system', { ...relayed, ciaddr: '10.78.0.107' })));
  assert.deepEqual(rebinding.to, { address: '10.78.0.254', port: 67 });
  assert.equal(hexOf(rebinding.packet, 3), '0a4e00fe');
});

test('link selection names the network, giaddr the way back (RFC 3527)', () => {
  const option82: DhcpOption = [82, Uint8Array.of(5, 4, 10, 78, 0, 1)];
  const decision = reply(ask(asks('DISCOVER', [...clients.agent, option82], { giaddr: '172.16.0.1' })));
  assert.equal(decision.packet.yiaddr, '10.78.0.107');
  assert.equal(hexOf(decision.packet, 3), '0a4e0001');
  assert.deepEqual(decision.to, { address: '172.16.0.1', port: 67 });
});

test('behind a relay of which nothing is declared: a boot file beside another server, never an address', () => {
  const unknown = { giaddr: '10.99.0.1', hops: 1 };
  const proxied = reply(ask(asks('DISCOVER', 'uefi', unknown)));
  assert.equal(proxied.why, 'proxy offer');
  assert.deepEqual(proxied.relay, { address: '10.99.0.1' });
  const silence = ask(asks('DISCOVER', 'uefi', unknown), { mode: 'range' });
  assert.equal(why(silence), 'silence: undeclared subnet');
  assert.deepEqual(silence.relay, { address: '10.99.0.1' });
});

test('a relay on our own segment changes nothing', () => {
  const decision = reply(ask(asks('DISCOVER', 'uefi', { giaddr: '10.77.0.9', hops: 1 }), { mode: 'range' }));
  assert.equal(decision.packet.yiaddr, '10.77.0.150');
  assert.equal(decision.relay, undefined);
});

test('a machine of one subnet is answered nowhere else: who has its MAC there is another', () => {
  const machine = { only: far.key };
  assert.equal(ask(asks('DISCOVER', 'uefi', relayed), { machine }).kind, 'reply');
  for (const over of [{}, { giaddr: '10.99.0.1', hops: 1 }, { giaddr: '10.77.0.9', hops: 1 }]) {
    const decision = ask(asks('DISCOVER', 'uefi', over), { machine });
    assert.equal(why(decision), 'silence: another network');
  }
  const behindOurRelay = { only: `site-b:${far.key}` };
  assert.equal(
    why(ask(asks('DISCOVER', 'uefi', relayed), { machine: behindOurRelay })),
    'silence: another network',
    'the same addresses behind a relay of our own are another network',
  );
});

test('--dhcp off is off everywhere', () => {
  assert.equal(why(ask(asks('DISCOVER', 'uefi', relayed), { mode: 'off' })), 'silence: dhcp is off');
});
