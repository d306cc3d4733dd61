import assert from 'node:assert/strict';
import test from 'node:test';
import { status } from '@grpc/grpc-js';
import { judge } from './register.ts';

for (const [code, kind] of [
  [status.UNAUTHENTICATED, 'refused'],
  [status.PERMISSION_DENIED, 'conflict'],
  [status.ALREADY_EXISTS, 'conflict'],
  [status.UNAVAILABLE, 'again'],
  [status.DEADLINE_EXCEEDED, 'again'],
  [status.INTERNAL, 'again'],
  [status.RESOURCE_EXHAUSTED, 'again'],
  [status.INVALID_ARGUMENT, 'again'],
] as const)
  test(`${status[code]} means ${kind}`, () => {
    assert.deepEqual(judge({ code, details: 'because' }), { kind, why: `${status[code]}: because` });
  });
