import assert from 'node:assert/strict';
import test from 'node:test';
import type { Host } from '../machine/host.ts';
import type { Mac } from '../machine/mac.ts';
import { unbootable } from './installer-files.ts';

const host: Host = {
  name: 'm1',
  flakeAttr: 'm1',
  macs: ['52:54:00:00:00:01' as Mac],
  system: 'x86_64-linux',
  tags: [],
  boot: [],
  expectDisks: [],
  wipe: false,
};
const files = {
  kernelSha256: 'a'.repeat(64),
  initrdSha256: 'b'.repeat(64),
  kernelParams: ['init=/init'],
  needsBytes: 1,
};
const at = { address: '10.0.0.1', httpPort: 7480, grpcPort: 7481 };

test('what no script can be made of is known before the machine is woken', () => {
  assert.equal(unbootable(host, files, at), undefined);
  assert.match(unbootable({ ...host, boot: ['x'.repeat(2000)] }, files, at) ?? '', /command line of m1/);
  assert.match(unbootable({ ...host, boot: ['a b'] }, files, at) ?? '', /m1/);
});
