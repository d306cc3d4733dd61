// Each obstacle of the list is found from facts that show it, and none from facts that don't.
import assert from 'node:assert/strict';
import test from 'node:test';
import { type ObstacleId, obstacles } from './obstacles.ts';
import type { Offer } from './offer.ts';
import { type InterfaceFacts, type SurveyFacts, survey } from './survey.ts';

const offer = (over: Partial<Offer> = {}): Offer => ({
  ...{ mac: '02:00:00:00:00:01', xid: 1, type: 'OFFER', server: '10.0.0.2', serverMac: '52:54:00:00:00:02' },
  ...{ address: '10.0.0.100', boots: false, ...over },
});
const ports = [67, 69, 4011].map((port) => ({ protocol: 'udp', port, state: 'free' }) as const);
const good: InterfaceFacts = {
  name: 'eth0',
  up: true,
  carrier: true,
  mtu: 1500,
  addresses: ['10.0.0.1/24'],
  rpFilter: 2,
  offers: [offer()],
  ports,
  firewall: [{ protocol: 'udp', port: 67, fate: 'open' }],
};
const facts = (over: Partial<InterfaceFacts> = {}, more: Partial<SurveyFacts> = {}): SurveyFacts => ({
  interfaces: [{ ...good, ...over }],
  dhcp: 'proxy',
  forwards: false,
  missingPrograms: [],
  missingLoaders: [],
  ...more,
});
const other = { server: '10.0.0.3', serverMac: '52:54:00:00:00:03' };

const shows: Readonly<Record<ObstacleId, SurveyFacts>> = {
  'interface-down': facts({ up: false, offers: [] }),
  'no-carrier': facts({ carrier: false, offers: [] }),
  'no-ipv4': facts({ addresses: [] }),
  'mtu-large': facts({ mtu: 9000 }),
  'mtu-small': facts({ mtu: 1400 }),
  'other-proxy': facts({ offers: [offer(), offer({ ...other, boots: true, file: 'pxelinux.0' })] }),
  'several-dhcp-servers': facts({ offers: [offer(), offer(other), offer()] }),
  'dhcp-server-beside-range': facts({}, { dhcp: 'range', forwards: true }),
  'no-dhcp-server': facts({ offers: [] }),
  'port-taken': facts({ ports: [{ protocol: 'udp', port: 67, state: 'taken', detail: 'dnsmasq (process 7)' }] }),
  'firewall-drops': facts({ firewall: [{ protocol: 'udp', port: 69, fate: 'dropped' }] }),
  'firewall-unknown': facts({ firewall: { why: 'nft: Operation not permitted' } }),
  'program-missing': facts({}, { missingPrograms: [{ program: 'ssh', package: 'openssh' }] }),
  'loader-missing': facts({}, { missingLoaders: [{ kind: 'x64', why: 'boot loader snponly.efi is missing' }] }),
  'arm64-loader-missing': facts({}, { missingLoaders: [{ kind: 'arm64', why: 'it is missing' }] }),
  'rp-filter': facts({ rpFilter: 1 }),
  'no-forwarding': facts({ offers: [] }, { dhcp: 'range' }),
  'not-asked': facts({ offers: { why: 'open packet socket on eth0: not permitted' } }),
  'not-tried': facts({ ports: [{ protocol: 'udp', port: 67, state: 'untried', detail: 'not permitted' }] }),
};

for (const id of Object.keys(obstacles) as ObstacleId[])
  test(`${id}: ${obstacles[id].what}`, () => {
    const ids = survey(shows[id]).map((finding) => finding.id);
    const also: readonly ObstacleId[] =
      id === 'several-dhcp-servers' || id === 'other-proxy' ? ['several-dhcp-servers', 'other-proxy'] : [];
    assert.ok(ids.includes(id), ids.join(', '));
    assert.deepEqual(
      ids.filter((each) => each !== id && !also.includes(each)),
      [],
    );
  });

test('nothing is found where all is well, beside a server, alone, and with DHCP switched off', () => {
  assert.deepEqual(survey(facts()), []);
  assert.deepEqual(survey(facts({ offers: [] }, { dhcp: 'range', forwards: true })), []);
  const taken = [{ protocol: 'udp', port: 67, state: 'taken' }] as const;
  assert.deepEqual(survey(facts({ ports: taken }, { dhcp: 'off' })), []);
});

test('sentences name who, where and what; problems come before notes', () => {
  const offers = [offer({ boots: true, file: 'pxelinux.0', nextServer: '10.0.0.9' })];
  const told = survey(facts({ mtu: 1400, offers }));
  assert.deepEqual(
    told.map(({ id, level, interface: name }) => [id, level, name]),
    [
      ['other-proxy', 'problem', 'eth0'],
      ['mtu-small', 'note', 'eth0'],
    ],
  );
  assert.equal(
    told[0]!.says,
    '10.0.0.2 (52:54:00:00:00:02) offers to firmware: address and boot file, pxelinux.0 from 10.0.0.9',
  );
});
