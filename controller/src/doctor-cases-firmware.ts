// For tests: how each cause happens that lies before the loader runs: nothing heard, DHCP, other servers, TFTP.
import assert from 'node:assert/strict';
import { address, asks, mac, text } from './answer/testing.ts';
import type { CauseId } from './doctor/causes.ts';
import { type Case, proxy } from './doctor-lab.ts';
import { FloodWatch } from './listen/flood-watch.ts';
import { encodeDhcp } from './wire/dhcp4/packet.ts';
import type { TftpOption, TftpPacket } from './wire/tftp/packet.ts';

const read = (options: TftpOption[] = [['blksize', '1468']]): [string, TftpOption[]] => ['snponly.efi', options];
const error: TftpPacket = { op: 'error', code: 8, message: 'User aborted the transfer' };
const ack = (block: number): TftpPacket => ({ op: 'ack', block });
const nothing = (): TftpPacket[] => [];
export const firmwareCases = {
  'unlisted-mac': {
    make: (lab) =>
      lab
        .stage('waking')
        .asks('DISCOVER', 'uefi', [], { chaddr: Uint8Array.from([2, 0, 0, 0, 0, 9]) })
        .after(60),
  },
  'nothing-heard': { make: (lab) => lab.stage('waking').after(60) },
  'not-built': { make: (lab) => lab.stage('planned').stage('failed', 'error: attribute missing') },
  'not-ready': { setting: { offer: 'silent' }, make: (lab) => lab.stage('planned').asks('DISCOVER', 'uefi') },
  'dhcp-off': { setting: { mode: 'off' }, make: (lab) => lab.stage('waking').asks('DISCOVER', 'uefi') },
  'no-loader': { setting: { ...proxy, loaders: {} }, make: (lab) => lab.stage('waking').asks('DISCOVER', 'uefi') },
  'wrong-architecture': {
    setting: { system: 'aarch64-linux' },
    make: (lab) => lab.stage('waking').asks('DISCOVER', 'uefi'),
  },
  'unknown-architecture': { make: (lab) => lab.stage('waking').asks('DISCOVER', [text(60, 'PXEClient')]) },
  'relay-mismatch': {
    make: (lab) => lab.stage('waking').asks('DISCOVER', 'uefi', [], { giaddr: '10.78.0.254', hops: 1 }),
  },
  'relay-undeclared': {
    make: (lab) => lab.stage('waking').asks('DISCOVER', 'uefi', [], { giaddr: '10.99.0.1', hops: 1 }),
  },
  'relay-unreachable': {
    make(lab) {
      lab.stage('waking').asks('DISCOVER', 'uefi', [], { giaddr: '10.78.0.254', hops: 1 });
      const to = { address: '10.78.0.254', giaddr: '10.78.0.254' };
      lab.seen({ kind: 'dhcp-unsent', mac, interface: 'br0', ...to, detail: 'send ENETUNREACH' });
      return lab;
    },
  },
  'reply-unsent': {
    make(lab) {
      lab.stage('waking').asks('DISCOVER', 'uefi');
      lab.seen({ kind: 'dhcp-unsent', mac, interface: 'br0', address: '10.78.0.254', detail: 'send ENETUNREACH' });
      return lab;
    },
  },
  'dhcp-malformed': {
    make(lab) {
      const whole = encodeDhcp(asks('DISCOVER', 'uefi'));
      whole.set([93, 200], 240);
      lab
        .stage('firmware')
        .door.receive(whole.subarray(0, 250), { interface: 'br0', port: 67, source: { address: '0.0.0.0', port: 68 } });
      return lab;
    },
  },
  'asks-too-often': {
    beside: true,
    make(lab) {
      lab.stage('waking');
      for (let count = 0; count < 100; count++) lab.asks('DISCOVER', 'uefi').after(-1);
      return lab;
    },
  },
  flood: {
    make(lab) {
      lab.stage('firmware');
      const flood = new FloodWatch();
      flood.look(lab.door.counters());
      for (let count = 0; count < 3000; count++)
        lab.asks('DISCOVER', 'plain', [], { chaddr: Uint8Array.from([2, 0, 0, 0, count >> 8, count & 255]) }).after(-1);
      const detail = flood.look(lab.door.counters());
      assert.ok(detail);
      lab.seen({ kind: 'dhcp-flood', detail });
      return lab;
    },
  },
  'address-declined': {
    beside: true,
    make: (lab) =>
      lab.stage('firmware').asks('DECLINE', 'plain', [address(50, '10.77.0.150'), address(54, '10.77.0.1')]),
  },
  'other-proxy': {
    setting: proxy,
    make: (lab) =>
      lab
        .stage('firmware')
        .asks('DISCOVER', 'uefi')
        .siteOffers([text(60, 'PXEClient'), text(67, 'pxelinux.0')])
        .takesFromSite('uefi')
        .after(10),
  },
  'other-dhcp-server': {
    make: (lab) => lab.stage('firmware').asks('DISCOVER', 'uefi').takesFromSite('uefi').after(10),
  },
  'no-address': {
    setting: proxy,
    make: (lab) => lab.stage('firmware').asks('DISCOVER', 'uefi').after(4).asks('DISCOVER', 'uefi'),
  },
  'offer-lost': { make: (lab) => lab.stage('firmware').asks('DISCOVER', 'uefi').after(4).asks('DISCOVER', 'uefi') },
  'offer-ignored': {
    setting: proxy,
    make: (lab) => lab.stage('firmware').asks('DISCOVER', 'uefi').siteOffers([]).takesFromSite('uefi').after(10),
  },
  'boot-server-answer-lost': {
    setting: proxy,
    make: (lab) => lab.stage('firmware').asks('DISCOVER', 'uefi').takesFromSite('uefi').asks4011().asks4011(),
  },
  'loader-not-asked': {
    setting: proxy,
    make: (lab) => lab.stage('firmware').asks('DISCOVER', 'uefi').takesFromSite('uefi').asks4011().after(10),
  },
  'http-boot-not-asked': {
    make: (lab) =>
      lab
        .stage('firmware')
        .asks('DISCOVER', 'http')
        .asks('REQUEST', 'http', [address(54, '10.77.0.1'), address(50, '10.77.0.150')])
        .after(10),
  },
  'tftp-unanswered': { make: (lab) => lab.stage('firmware').tftp(...read(), 'tftp-stopped', nothing) },
  'tftp-mtu': {
    make: (lab) =>
      lab.stage('firmware').tftp(...read(), 'tftp-stopped', (packet) => (packet.op === 'oack' ? [ack(0)] : [])),
  },
  'tftp-loss': {
    make: (lab) =>
      lab
        .stage('firmware')
        .tftp(...read([]), 'tftp-stopped', (packet) => (packet.op === 'data' && packet.block === 1 ? [ack(1)] : [])),
  },
  'tftp-size-only': {
    make: async (lab) =>
      (await lab.stage('firmware').tftp(...read([['tsize', '0']]), 'tftp-probed', () => [error])).after(10),
  },
  'tftp-aborted': {
    make: (lab) =>
      lab
        .stage('firmware')
        .tftp(...read([]), 'tftp-stopped', (packet) =>
          packet.op === 'data' ? [packet.block < 3 ? ack(packet.block) : error] : [],
        ),
  },
  'tftp-other-file': { make: (lab) => lab.stage('firmware').tftp('pxelinux.0', [], 'tftp-refused', nothing) },
  'tftp-busy': { make: (lab) => lab.stage('firmware').tftp(...read([]), 'tftp-refused', nothing, 0) },
  'loader-silent': {
    make: async (lab) => {
      const whole = (packet: TftpPacket) => (packet.op === 'data' ? [ack(packet.block)] : [ack(0)]);
      return (await lab.stage('firmware').tftp(...read(), 'tftp-sent', whole)).after(60);
    },
  },
} satisfies Partial<Record<CauseId, Case>>;
