// The controller as an npm tarball: the bundle, a launcher, and koffi with its library inside, so that it can be installed without network.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { buildController } from '../../controller/build.mjs';

// Plain JavaScript that old Nodes take too: they are told what is wanted.
const launcher = (commit: string) => `#!/usr/bin/env node
if (Number(process.versions.node.split('.')[0]) < 24) {
  console.error('nixie: this is Node ' + process.versions.node + ', and nixie needs Node 24 or newer');
  process.exit(3);
}
process.env.NIXIE_COMMIT ??= '${commit}';
await import('../dist/bin/nixie.mjs');
`;

/** @returns the tarball's path in `outDir` */
export function packController(root: string, work: string, outDir: string, commit: string): string {
  const place = join(work, 'npm');
  const modules = join(place, 'node_modules');
  for (const folder of ['bin', 'node_modules/@koromix']) mkdirSync(join(place, folder), { recursive: true });
  buildController(join(place, 'dist'));
  const koffi = realpathSync(join(root, 'controller/node_modules/koffi'));
  cpSync(koffi, join(modules, 'koffi'), { recursive: true, dereference: true });
  cpSync(join(dirname(koffi), '@koromix'), join(modules, '@koromix'), { recursive: true, dereference: true });
  const { version, license } = JSON.parse(readFileSync(join(root, 'controller/package.json'), 'utf8'));
  const koffiVersion = JSON.parse(readFileSync(join(koffi, 'package.json'), 'utf8')).version;
  const platforms = readdirSync(join(modules, '@koromix')).map((name) => `@koromix/${name}`);
  const manifest = {
    name: 'nixie',
    version,
    description: 'Turns racks of blank machines into proved NixOS installations with one command.',
    license,
    type: 'module',
    bin: { nixie: 'bin/nixie.mjs' },
    man: ['./nixie.8'],
    engines: { node: '>=24' },
    os: ['linux'],
    files: ['bin', 'dist', 'hosts.schema.json', 'nixie.8'],
    // What is inside is for this computer's platform; on another one npm brings the right one.
    dependencies: { koffi: koffiVersion },
    optionalDependencies: Object.fromEntries(platforms.map((name) => [name, koffiVersion])),
    bundleDependencies: ['koffi', ...platforms],
    ...(commit === '' ? {} : { gitHead: commit }),
  };
  writeFileSync(join(place, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  writeFileSync(join(place, 'bin/nixie.mjs'), launcher(commit), { mode: 0o755 });
  for (const [from, to] of [
    ['LICENSE', 'LICENSE'],
    ['README.md', 'README.md'],
    ['controller/hosts.schema.json', 'hosts.schema.json'],
  ] as const)
    cpSync(join(root, from), join(place, to));
  const env = { ...process.env, NIXIE_COMMIT: commit };
  const page = execFileSync(process.execPath, [join(place, 'dist/bin/nixie.mjs'), 'man-page'], {
    env,
    timeout: 60_000,
  });
  writeFileSync(join(place, 'nixie.8'), page);
  const said = execFileSync('npm', ['pack', '--json', '--pack-destination', outDir], {
    cwd: place,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 120_000,
  });
  return join(outDir, (JSON.parse(said) as { filename: string }[])[0]!.filename);
}
