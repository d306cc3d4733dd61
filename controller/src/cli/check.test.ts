import assert from 'node:assert/strict';
import test from 'node:test';
import type { Host } from '../machine/host.ts';
import { plainHost } from '../machine/testing.ts';
import type { Evaluation, HostSystem } from '../nix/types.ts';
import { checkJson, checkLines, hasProblems, judgeEvaluation } from './check.ts';
import { plain } from './colour.ts';

const host = (name: string, more: Partial<Host> = {}): Host => plainHost(name, ['02:00:00:00:00:01'], more);
const output = { drv: '/nix/store/x.drv', out: '/nix/store/x' };
const system = (more: Partial<HostSystem> = {}) => ({
  ok: true as const,
  value: { toplevel: output, diskoScript: output, ...more },
});
const flake = { given: '.', url: '/x', dirty: false };
const key = { path: '/k', kind: 'private' as const, publicKey: 'ssh-ed25519 AAAA' };

test('golden: a report', () => {
  const evaluation: Evaluation = {
    flake,
    hosts: {
      good: system({
        diskDevices: { main: '/dev/disk/by-id/ata-1' },
        sshEnabled: true,
        rootHasKeys: true,
        system: 'x86_64-linux',
      }),
      unstable: system({ diskDevices: { main: '/dev/sda', fast: '/dev/nvme0n1', mapped: '/dev/mapper/x' } }),
      closed: system({ sshEnabled: false, rootHasKeys: true }),
      keyless: system({ sshEnabled: true, rootHasKeys: false }),
      arm: system({ system: 'aarch64-linux' }),
      broken: { ok: false, failure: { cause: 'evaluation', text: 'error: x\n  at \u001b[1my\u001b[0m', log: [] } },
    },
    installers: {
      'x86_64-linux': { ok: false, failure: { cause: 'missing-attribute', text: 'no installer', log: [] } },
    },
    warnings: ['not committed'],
  };
  const hosts = ['good', 'unstable', 'closed', 'keyless', 'arm', 'broken', 'lost'].map((name) => host(name));
  const report = judgeEvaluation({ hosts, installers: {}, subnets: [] }, evaluation, ['of the options']);
  assert.ok(hasProblems(report));
  assert.deepEqual(checkLines(report, plain), [
    'warning: of the options',
    'warning: not committed',
    'installer x86_64-linux: problem',
    '  no installer',
    'good: ok',
    'unstable: ok',
    '  warning: disko\'s disk "main" is /dev/sda, a name that can be another disk after the next boot; use /dev/disk/by-id/…',
    '  warning: disko\'s disk "fast" is /dev/nvme0n1, a name that can be another disk after the next boot; use /dev/disk/by-id/…',
    'closed: ok',
    '  warning: no way in for the proof: services.openssh is not enabled, so it will be installed, unproved',
    'keyless: ok',
    '  warning: no way in for the proof but the key that nixie places in /root/.ssh: give root an authorized key, or use --ssh-key',
    'arm: problem',
    '  it is built for aarch64-linux, and the hosts file says "system": "x86_64-linux"',
    'broken: problem',
    '  error: x',
    '    at y',
    'lost: problem',
    '  it was not evaluated',
    '4 of 8 can not be used as they are',
  ]);
  assert.equal(checkJson(report).length, 10);
});

test('nothing to complain about', () => {
  const subnets = [
    {
      cidr: '10.78.0.0/24',
      network: '10.78.0.0',
      prefixLength: 24,
      range: { from: '10.78.0.9', to: '10.78.0.19' },
      controllerAddress: '10.0.0.1',
    },
    { cidr: '10.79.0.0/24', network: '10.79.0.0', prefixLength: 24, relay: 'site-b' },
  ];
  const evaluation: Evaluation = {
    flake,
    hosts: { a: system({ sshEnabled: true, rootHasKeys: false }) },
    installers: {},
    warnings: [],
  };
  const report = judgeEvaluation({ hosts: [host('a')], installers: {}, sshKey: key, subnets }, evaluation);
  assert.ok(!hasProblems(report));
  assert.deepEqual(checkLines(report, plain), [
    'subnet 10.78.0.0/24 behind foreign relays, DHCP: only server, 10.78.0.9 to 10.78.0.19, machines reach us at 10.0.0.1',
    'subnet 10.79.0.0/24 behind relay site-b, DHCP: beside another server',
    'a: ok',
    'all can be installed',
  ]);
  assert.deepEqual(checkJson(report), [
    { subnet: '10.78.0.0/24', range: '10.78.0.9-10.78.0.19', controller_address: '10.0.0.1' },
    { subnet: '10.79.0.0/24', relay: 'site-b' },
    { name: 'a', result: 'ok', problems: [], warnings: [] },
  ]);
});
