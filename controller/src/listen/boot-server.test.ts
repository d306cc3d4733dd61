import assert from 'node:assert/strict';
import test from 'node:test';
import { shortBuffer } from './boot-server.ts';

test('a buffer smaller than wanted is told, with the least that was granted and the setting', () => {
  assert.equal(shortBuffer([8 << 20, 8 << 20], 8 << 20), undefined);
  assert.equal(shortBuffer([], 8 << 20), undefined);
  assert.equal(
    shortBuffer([8 << 20, 212_992], 8 << 20),
    'the kernel keeps 0.2 MiB of waiting DHCP packets, not the 8 MiB asked for: when very many machines ask at once some may have to ask twice; to change that: sysctl -w net.core.rmem_max=8388608',
  );
});
