import assert from 'node:assert/strict';
import test from 'node:test';
import { DhcpTextError, parseDhcp } from './print.ts';

const lines = (change: (text: string) => string): string[] =>
  change(
    'request xid 2309be0f secs 4 flags 0000 hops 0\nhardware 1 52:54:00:77:00:01\nclient 0.0.0.0 your 0.0.0.0 next 0.0.0.0 relay 0.0.0.0\n94 undi: UNDI 3.0',
  ).split('\n');

test('numbers that no field of a message can hold are refused with their line', () => {
  assert.equal(parseDhcp(lines((text) => text)).secs, 4);
  for (const [from, to, line] of [
    ['secs 4', 'secs 65536', 1],
    ['hops 0', 'hops 256', 1],
    ['hardware 1', 'hardware 256', 2],
    ['UNDI 3.0', 'UNDI 3.256', 4],
  ] as const)
    assert.throws(
      () => parseDhcp(lines((text) => text.replace(from, to))),
      (error: unknown) => error instanceof DhcpTextError && error.line === line,
      to,
    );
});
