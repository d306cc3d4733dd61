import assert from 'node:assert/strict';
import test from 'node:test';
import { LoaderMissing } from './errors.ts';
import { findLoaders, loaderFault } from './loaders.ts';

function efi(machine: number): Uint8Array {
  const bytes = new Uint8Array(128);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 0x4d5a);
  view.setUint32(60, 64, true);
  view.setUint32(64, 0x50450000);
  view.setUint16(68, machine, true);
  return bytes;
}
const reader = (files: Record<string, Uint8Array>) => (path: string) => files[path];

test('Debian: what is there is taken, under the names that are advertised', () => {
  const found = findLoaders(
    ['bios', 'x64'],
    undefined,
    reader({
      '/usr/lib/ipxe/undionly.kpxe': Uint8Array.of(1),
      '/usr/lib/ipxe/ipxe.efi': efi(0x8664),
      '/usr/lib/ipxe/snponly.efi': efi(0x8664),
    }),
  );
  assert.deepEqual(found.loaders, { bios: 'undionly.kpxe', x64: 'snponly.efi' });
  assert.equal(found.paths.x64, '/usr/lib/ipxe/snponly.efi');
  assert.deepEqual([...found.files.keys()].sort(), ['snponly.efi', 'undionly.kpxe']);
});

test('missing, empty and foreign files are told', () => {
  const wrong = reader({ '/x/snponly.efi': efi(0xaa64), '/x/undionly.kpxe': new Uint8Array(0) });
  const table: readonly [() => unknown, RegExp][] = [
    [
      () => findLoaders(['x64'], undefined, reader({})),
      /snponly.efi for x64 .*looked in \/usr\/lib\/ipxe.*install the package ipxe/,
    ],
    [() => findLoaders(['x64'], '/x', wrong), /\/x\/snponly.efi: it is made for machine type 0xaa64, not for x64/],
    [() => findLoaders(['bios'], '/x', wrong), /\/x\/undionly.kpxe: it is empty/],
    [() => findLoaders(['arm64'], '/x', wrong), /snponly-arm64.efi for arm64/],
  ];
  for (const [find, message] of table) {
    assert.throws(
      find,
      (error) => error instanceof LoaderMissing && error.package === 'ipxe' && message.test(error.message),
      String(message),
    );
  }
  assert.deepEqual(findLoaders([], '/x', wrong).loaders, {});
  assert.equal(loaderFault('x64', Uint8Array.of(0x4d, 0x5a)), 'it is no EFI program');
  assert.equal(loaderFault('arm64', efi(0xaa64)), undefined);
});
