import assert from 'node:assert/strict';
import test from 'node:test';
import { ConfigError } from '../config/problem.ts';
import { type DoctorOptions, readDoctor } from './doctor-request.ts';

const around = { cwd: '/w', uid: 0, env: { HOME: '/root' } };
const read = (host: string | undefined, options: DoctorOptions) => readDoctor(host, options, around);

test('a host, all hosts, and interfaces are three questions', () => {
  assert.deepEqual(read('web1', { state: 's' }), {
    of: 'machines',
    host: 'web1',
    socket: '/w/s/operator.sock',
    stateDir: '/w/s',
    json: false,
  });
  assert.deepEqual(read(undefined, { json: true }), {
    of: 'machines',
    socket: '/var/lib/nixie/operator.sock',
    stateDir: '/var/lib/nixie',
    json: true,
  });
  assert.deepEqual(read(undefined, { interface: ['eth0', 'eth1', 'eth0'], dhcp: 'off', ipxe: '~/ipxe' }), {
    of: 'interfaces',
    interfaces: ['eth0', 'eth1'],
    dhcp: { mode: 'off' },
    ipxeDir: '/root/ipxe',
    json: false,
  });
});

test('what does not belong together is said, all at once', () => {
  const problems = (host: string | undefined, options: DoctorOptions): string[] => {
    try {
      read(host, options);
      return [];
    } catch (error) {
      assert.ok(error instanceof ConfigError);
      return error.problems.map(({ where, text }) => `${where}: ${text}`);
    }
  };
  assert.deepEqual(problems('web1', { dhcp: 'proxy', ipxe: '/x' }), [
    '--dhcp: accepted only with --interface',
    '--ipxe: accepted only with --interface',
  ]);
  const [both, state, name] = problems('web1', { interface: ['a/b'], state: '/s' });
  assert.match(both!, /^doctor: found "web1" and --interface, accepted: one of the two$/);
  assert.match(state!, /^--state: accepted only without --interface$/);
  assert.match(name!, /^--interface: found "a\/b", accepted: the name of a network interface/);
});
