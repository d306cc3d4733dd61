import assert from 'node:assert/strict';
import test from 'node:test';
import { operatorSocket } from './operator-socket.ts';

test('a path too long for a socket has another place, or a sentence', () => {
  assert.equal(operatorSocket('/var/lib/nixie', 0, undefined), '/var/lib/nixie/operator.sock');
  const long = `/${'x'.repeat(120)}`;
  assert.match(operatorSocket(long, 0, undefined), /^\/run\/nixie-[0-9a-f]{16}\.sock$/);
  assert.match(operatorSocket(long, 1000, '/run/user/1000'), /^\/run\/user\/1000\/nixie-[0-9a-f]{16}\.sock$/);
  assert.notEqual(operatorSocket(long, 0, undefined), operatorSocket(`${long}y`, 0, undefined));
  assert.throws(() => operatorSocket(long, 1000, undefined), /135 bytes, accepted are 107.*--state/);
});
