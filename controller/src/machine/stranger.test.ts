import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import type { Mac } from './mac.ts';
import { hostsLine, StrangerBook, strangerText, systemOf } from './stranger.ts';

const macOf = (i: number) =>
  `52:54:00:00:${(i >> 8).toString(16).padStart(2, '0')}:${(i & 255).toString(16).padStart(2, '0')}` as Mac;

test('what is known of a stranger grows, and is told with the line that lets it in', () => {
  const book = new StrangerBook();
  book.heard(macOf(1), { architecture: 'arm64-efi', vendorClass: 'PXEClient:Arch:00011', interface: 'eth1' }, 5);
  book.heard(macOf(2), {}, 6);
  book.heard(macOf(1), { uuid: 'u' }, 9);
  const [first, second] = book.all();
  assert.deepEqual(first, {
    mac: macOf(1),
    architecture: 'arm64-efi',
    vendorClass: 'PXEClient:Arch:00011',
    interface: 'eth1',
    uuid: 'u',
    firstSeen: 5,
    lastSeen: 9,
    asked: 2,
  });
  assert.equal(strangerText(first!), '52:54:00:00:00:01 asked to boot (arm64-efi, UUID u, on eth1)');
  assert.equal(strangerText(second!), '52:54:00:00:00:02 asked to boot');
  assert.equal(
    hostsLine(first!),
    '"machine-000001": { "mac_address": "52:54:00:00:00:01", "system": "aarch64-linux" }',
  );
  assert.equal(hostsLine(second!), '"machine-000002": { "mac_address": "52:54:00:00:00:02" }');
  for (const [architecture, system] of [
    ['x86-bios', 'x86_64-linux'],
    ['x64-efi-http', 'x86_64-linux'],
    ['arm64-efi', 'aarch64-linux'],
    ['arm32-efi', undefined],
    ['riscv64-efi', undefined],
  ] as const)
    assert.equal(systemOf({ architecture }), system);
  book.forget(macOf(1));
  assert.deepEqual(
    book.all().map(({ mac }) => mac),
    [macOf(2)],
  );
});

test('a flood of ever new addresses takes no memory, and does not push out who asks again and again', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 100, maxLength: 600 }), (asks) => {
      const book = new StrangerBook(16);
      book.heard(macOf(9999), {}, 0);
      book.heard(macOf(9999), {}, 1);
      let heard = 1;
      const seen = new Set<number>();
      asks.forEach((i, at) => {
        if (!seen.has(i)) heard++;
        seen.add(i);
        book.heard(macOf(9999), {}, at);
        book.heard(macOf(i), {}, at);
        assert.ok(book.all().length <= 16);
      });
      assert.ok(book.all().some(({ mac }) => mac === macOf(9999)));
      assert.ok(book.all().length + book.forgotten >= Math.min(heard, 16));
    }),
    { numRuns: 50 },
  );
});

test('strangers of two sites are two, even with one MAC', () => {
  const book = new StrangerBook(16);
  for (const [at, relay] of [undefined, 'a', 'b', 'a'].entries())
    book.heard(macOf(1), relay === undefined ? {} : { relay }, at);
  assert.deepEqual(
    book.all().map(({ relay, asked }) => [relay, asked]),
    [
      [undefined, 1],
      ['a', 2],
      ['b', 1],
    ],
  );
  assert.match(hostsLine(book.all()[1]!), /, "relay": "a" \}$/);
});
