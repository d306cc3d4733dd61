// The executable is a snapshot: whatever runs while a module is loaded ran on the computer that built it. What has to be the machine's own is
// looked at in the process.
import assert from 'node:assert/strict';
import test from 'node:test';
import { findCodeCache, trimBlob } from '../trim-blob.mjs';
import { wantMoreThreads } from './threads.ts';

const number = (value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};
const bytes = (value: string | Buffer): Buffer => Buffer.concat([number(value.length), Buffer.from(value)]);
const table = (entries: Record<string, string>): Buffer =>
  Buffer.concat([
    number(Object.keys(entries).length),
    ...Object.entries(entries).flatMap(([name, code]) => [bytes(name), bytes(code)]),
  ]);
const snapshot = (entries: Record<string, string>): Buffer =>
  Buffer.concat([Buffer.from([0x19, 0xda, 0x43, 0x01]), Buffer.alloc(500, 0x5a), table(entries)]);
const blob = (inside: Buffer): Buffer => Buffer.concat([Buffer.from('head'), bytes(inside), Buffer.from('--option')]);

const modules = { fs: 'x'.repeat(300), 'internal/http2/core': 'y'.repeat(70), tls: 'z' };

test('of the compiled code behind a snapshot only what is wanted stays, and nothing else changes', () => {
  const wanted = new Set(['tls', 'internal/http2/core', 'one that Node does not have']);
  const { fs: _, ...rest } = modules;
  assert.deepEqual(trimBlob(blob(snapshot(modules)), wanted), blob(snapshot(rest)));
  assert.deepEqual(trimBlob(blob(snapshot(modules)), new Set(Object.keys(modules))), blob(snapshot(modules)));
});

test('a blob of another form is not touched', () => {
  const whole = blob(snapshot(modules));
  const wanted = new Set(['tls']);
  assert.equal(trimBlob(Buffer.from('no snapshot in here at all'), wanted), undefined);
  assert.equal(trimBlob(whole.subarray(0, whole.length - 20), wanted), undefined);
  assert.equal(trimBlob(blob(Buffer.concat([snapshot(modules), Buffer.from('more')])), wanted), undefined);
  assert.equal(findCodeCache(Buffer.alloc(4000)), undefined);
});

test('the wish for threads is the process’s, and the one who started it may have another', () => {
  const env: NodeJS.ProcessEnv = {};
  wantMoreThreads(env);
  assert.equal(env.UV_THREADPOOL_SIZE, '32');
  const own: NodeJS.ProcessEnv = { UV_THREADPOOL_SIZE: '5' };
  wantMoreThreads(own);
  assert.equal(own.UV_THREADPOOL_SIZE, '5');
});
