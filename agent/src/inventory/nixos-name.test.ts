import assert from 'node:assert/strict';
import test from 'node:test';
import { type Laid, layTree } from './lay-tree.ts';
import { nixosName, resolveInside } from './nixos-name.ts';

const hash = '0123456789abcdfghijklmnpqrsvwxyz';
const system = `→ /nix/store/${hash}-nixos-system-web-2-24.11.20250101.abcdef0`;
/** As NixOS lays it: links from /etc into the store, all absolute. */
const installed: Laid = {
  'etc/NIXOS': '',
  'etc/static': `→ /nix/store/${hash}-etc/etc`,
  'etc/hostname': '→ /etc/static/hostname',
  [`nix/store/${hash}-etc/etc/hostname`]: `→ /nix/store/${hash}-etc-hostname`,
  [`nix/store/${hash}-etc-hostname`]: 'web2\n',
};
const below = (folder: string, laid: Laid): Laid =>
  Object.fromEntries(Object.entries(laid).map(([path, entry]) => [`${folder}/${path}`, entry]));

const rows: { name: string; laid: Laid; want: string | undefined }[] = [
  { name: 'through links into its own store', laid: installed, want: 'web2' },
  {
    name: 'from the system profile alone',
    laid: { 'nix/var/nix/profiles/system': '→ system-3-link', 'nix/var/nix/profiles/system-3-link': system },
    want: 'web-2',
  },
  { name: 'the file system of /nix', laid: { 'var/nix/profiles/system': system }, want: 'web-2' },
  { name: 'a subvolume of btrfs', laid: below('@root', installed), want: 'web2' },
  { name: 'a NixOS without a name', laid: { 'etc/NIXOS': '' }, want: '' },
  { name: 'a name that is none', laid: { 'etc/NIXOS': '', 'etc/hostname': '\u001b[2J evil' }, want: '' },
  { name: 'links in a circle', laid: { 'etc/NIXOS': '', 'etc/hostname': '→ /etc/hostname' }, want: '' },
  { name: 'another system', laid: { 'etc/hostname': 'web2\n', 'etc/debian_version': '12\n' }, want: undefined },
  { name: 'a profile that leads out of it', laid: { 'nix/var/nix/profiles': '→ ../../../../../..' }, want: undefined },
  { name: 'nothing', laid: { 'lost+found/x': '' }, want: undefined },
];

for (const { name, laid, want } of rows)
  test(`the name of a NixOS: ${name}`, async () => {
    const { root, remove } = layTree(laid);
    try {
      assert.equal(await nixosName(root), want);
    } finally {
      remove();
    }
  });

test('no link leads out of the file system', async () => {
  const { root, remove } = layTree({ etc: '→ /etc', up: '→ ../../../etc', 'a/passwd': '→ ../../../../../etc/passwd' });
  try {
    for (const path of ['etc/passwd', 'up/passwd', 'a/passwd', '../etc/passwd'])
      assert.equal(await resolveInside(root, path, 'file'), undefined, path);
  } finally {
    remove();
  }
});
