import {
  checkoutOf,
  FlakeRefError,
  installerAttrPath,
  parseAttrPath,
  parseFlakeRef,
  printAttrPath,
} from '../../../controller/src/nix/flake-ref.ts';
import { bytesOf, must, type Target, text } from '../target.ts';

const probe = { exists: (path: string) => path.length % 2 === 0 };

export const target: Target = {
  name: 'flake-ref',
  seeds: [
    './examples#nixosConfigurations."rack.1"',
    'path:/etc/nixos?dir=sub%20folder#installer',
    'git+file:///home/op/flake?ref=main',
    'github:owner/repo/branch#x',
    'nixpkgs',
    '#a',
  ].map(bytesOf),
  dictionary: ['path:', 'git+file:', 'file://', '#', '"', '?dir=', '..', '%2e%2e%2f', '%zz', '.', '~'],
  allowed: [FlakeRefError],
  run(bytes) {
    const ref = parseFlakeRef(text(bytes), '/work', probe);
    must(!/[\s\x00-\x1f]/.test(ref.url), 'an URL has no spaces');
    const printed = printAttrPath(installerAttrPath(ref.attrPath));
    must(parseAttrPath(printed).join('\0') === installerAttrPath(ref.attrPath).join('\0'), 'attributes read back');
    if (ref.folder !== undefined && ref.folder.length < 4096) checkoutOf(ref.folder, { exists: () => false });
  },
};
