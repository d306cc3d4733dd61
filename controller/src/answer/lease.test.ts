import assert from 'node:assert/strict';
import test from 'node:test';
import type { MessageType } from '../wire/dhcp4/options.ts';
import { type DhcpOption, type DhcpPacket, encodeDhcp, headerText, option } from '../wire/dhcp4/packet.ts';
import { address, answer, asks, clients, hexOf, leased, reply, typeOf, uuid } from './testing.ts';

test('a REQUEST in each state of RFC 2131 4.3.2', () => {
  const ours = address(54, '10.77.0.1');
  const table: [string, DhcpPacket, string, string?][] = [
    ['SELECTING us', asks('REQUEST', 'agent', {}, [ours, address(50, leased)]), 'ACK', '255.255.255.255:68'],
    [
      'SELECTING us, another address',
      asks('REQUEST', 'agent', {}, [ours, address(50, '10.77.0.9')]),
      'NAK',
      '255.255.255.255:68',
    ],
    [
      'SELECTING another',
      asks('REQUEST', 'agent', {}, [address(54, '10.77.0.2'), address(50, leased)]),
      'another server was chosen',
    ],
    ['INIT-REBOOT', asks('REQUEST', 'agent', {}, [address(50, leased)]), 'ACK', '255.255.255.255:68'],
    [
      'INIT-REBOOT from elsewhere',
      asks('REQUEST', 'agent', {}, [address(50, '192.168.1.9')]),
      'NAK',
      '255.255.255.255:68',
    ],
    ['RENEWING', asks('REQUEST', 'agent', { ciaddr: leased }), 'ACK', `${leased}:68`],
    ['REBINDING, flags ignored', asks('REQUEST', 'agent', { ciaddr: leased, flags: 0x8000 }), 'ACK', `${leased}:68`],
    ['RENEWING a wrong address', asks('REQUEST', 'agent', { ciaddr: '10.77.0.9' }), 'NAK', '255.255.255.255:68'],
    ['nothing asked', asks('REQUEST', 'agent'), 'asks for nothing'],
    [
      'server id of wrong length',
      asks('REQUEST', 'agent', {}, [[54, Uint8Array.of(1)], address(50, leased)]),
      'ACK',
      '255.255.255.255:68',
    ],
    ['INFORM', asks('INFORM', 'agent', { ciaddr: leased }), 'ACK', `${leased}:68`],
    ['INFORM for a stranger’s address', asks('INFORM', 'agent', { ciaddr: '8.8.8.8' }), 'another network'],
    ['DECLINE', asks('DECLINE', 'agent', {}, [ours, address(50, leased)]), 'declined'],
    ['RELEASE', asks('RELEASE', 'agent', { ciaddr: leased }, [ours]), 'released'],
    ['an OFFER of another server', asks('OFFER', 'agent', { op: 2 }), 'not a request'],
    ['an OFFER that says it is a request', asks('OFFER', 'agent'), 'not a request'],
  ];
  for (const [name, packet, want, to] of table) {
    const decision = answer(packet);
    if (decision.kind === 'silence') {
      assert.equal(decision.why, want, name);
      continue;
    }
    assert.equal(typeOf(decision.packet), want, name);
    assert.equal(`${decision.to.address}:${decision.to.port}`, to, name);
    assert.equal(decision.packet.yiaddr, want === 'ACK' && !name.startsWith('INFORM') ? leased : '0.0.0.0', name);
    if (want === 'NAK' || name.startsWith('INFORM')) {
      for (const lease of [51, 58, 59]) assert.equal(option(decision.packet, lease), undefined, name);
    }
    if (want === 'NAK')
      assert.deepEqual(
        decision.packet.options.map(([number]) => number),
        [53, 54, 61],
        name,
      );
  }
});

test('lease options', () => {
  const { packet } = reply(answer(asks('DISCOVER', 'agent')));
  assert.equal(hexOf(packet, 51), '00000e10');
  assert.equal(hexOf(packet, 58), '00000708');
  assert.equal(hexOf(packet, 59), '00000c4e');
  assert.equal(hexOf(packet, 1), 'ffffff00');
  assert.equal(hexOf(packet, 28), '0a4d00ff');
  assert.equal(hexOf(packet, 3), '0a4d00fe');
  assert.equal(hexOf(packet, 6), '0a4d0035');
  assert.equal(hexOf(packet, 61), '01525400770001', 'echoed, RFC 6842');
  assert.equal(packet.options[0]![0], 53);
});

test('relayed: to giaddr:67, option 82 unchanged and last, the address of that network', () => {
  const relay: DhcpOption = [82, Uint8Array.of(1, 4, 108, 97, 110, 50)];
  const far = { giaddr: '10.78.0.254', hops: 1 };
  const source = { address: '10.77.0.254', port: 67 };
  const asked = asks('DISCOVER', [...clients.agent, relay], far);
  const decision = reply(answer(asked, { address: '10.78.0.107' }, { source }));
  assert.deepEqual(decision.to, { address: '10.78.0.254', port: 67 });
  assert.deepEqual(decision.packet.options.at(-1), relay);
  assert.equal(decision.packet.giaddr, '10.78.0.254');
  assert.equal(decision.packet.hops, 1);
  assert.equal(hexOf(decision.packet, 3), '0a4e00fe');
  assert.equal(hexOf(decision.packet, 28), '0a4e00ff');

  const silence = answer(asked, {}, { source });
  assert.equal(silence.kind === 'silence' && silence.why, 'another network', 'a local address is of no use there');

  const refused = reply(
    answer(
      asks('REQUEST', [...clients.agent, relay], far, [address(50, '10.78.0.9')]),
      { address: '10.78.0.107' },
      { source },
    ),
  );
  assert.equal(typeOf(refused.packet), 'NAK');
  assert.equal(refused.packet.flags, 0x8000, 'RFC 2131 4.3.2: the relay broadcasts it');
  assert.deepEqual(refused.to, { address: '10.78.0.254', port: 67 });

  const proxied = reply(answer(asks('DISCOVER', [...clients.uefi, relay], far), { mode: 'proxy' }, { source }));
  assert.deepEqual(proxied.to, { address: '10.78.0.254', port: 67 });
  assert.equal(proxied.packet.flags, 0x8000, 'the relay has no address to unicast to');
  assert.deepEqual(proxied.packet.options.at(-1), relay);
});

test('link selection and server override win over giaddr (RFC 3527, RFC 5107)', () => {
  const relay: DhcpOption = [82, Uint8Array.of(5, 4, 10, 78, 0, 0, 11, 4, 10, 78, 0, 254)];
  const asked = (type: MessageType, more: DhcpOption[] = []) =>
    asks(type, [...clients.agent, relay], { giaddr: '172.16.0.1' }, more);
  const setting = { address: '10.78.0.107' };
  const decision = reply(answer(asked('DISCOVER'), setting));
  assert.equal(hexOf(decision.packet, 54), '0a4e00fe');
  assert.deepEqual(decision.to, { address: '172.16.0.1', port: 67 });
  const chosen = reply(answer(asked('REQUEST', [address(54, '10.78.0.254'), address(50, '10.78.0.107')]), setting));
  assert.equal(typeOf(chosen.packet), 'ACK');
});

test('the broadcast flag is that of each packet; a repeated request gets the same bytes', () => {
  for (const flags of [0, 0x8000]) assert.equal(reply(answer(asks('DISCOVER', 'ipxe', { flags }))).packet.flags, flags);
  const bytes = () => encodeDhcp(reply(answer(asks('DISCOVER', 'ipxe'))).packet);
  assert.deepEqual(bytes(), bytes());
});

test('replies stay within what every client takes, also with much to echo', () => {
  const long = { x64: 'n'.repeat(127) };
  const echo: DhcpOption[] = [[61, new Uint8Array(100)], uuid];
  const { packet } = reply(answer(asks('DISCOVER', [...clients.uefi.slice(0, 2), ...echo]), { loaders: long }));
  assert(encodeDhcp(packet).length <= 548, String(encodeDhcp(packet).length));
  assert.equal(headerText(packet, 'file'), long.x64);
  assert.equal(option(packet, 66), undefined, 'the header says it as well');
});

test('what a relay wants back does not cost the client anything: the relay takes it off again', () => {
  const relay: DhcpOption = [82, Uint8Array.from([1, 250, ...new Array(250).fill(97)])];
  const { packet } = reply(answer(asks('DISCOVER', [...clients.uefi, relay], { giaddr: '10.77.0.9' })));
  assert.deepEqual(packet.options.at(-1), relay);
  for (const number of [66, 67, 28, 58, 59]) assert(option(packet, number), String(number));
});
