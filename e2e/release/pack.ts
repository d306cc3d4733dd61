// `npm run pack`: the artefacts for people without Nix, in dist/: controller, agents, checksums, what is in them.
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { buildAgent } from '../../agent/build.mjs';
import { checkedOutCommit } from '../../controller/bin/commit.js';
import { nodeForArm64 } from './arm64.ts';
import { packController } from './npm.ts';
import { sbom } from './sbom.ts';

/** @returns names of the files made in `outDir`, which is emptied before */
export async function pack(root: string, outDir: string): Promise<string[]> {
  rmSync(outDir, { recursive: true, force: true });
  mkdirSync(outDir, { recursive: true });
  const cache = join(root, '.cache');
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, 'pack-'));
  try {
    const commit = checkedOutCommit(root);
    packController(root, work, outDir, commit);
    const own = await buildAgent({ outDir: join(work, 'own'), commit });
    copyFileSync(own.path, join(outDir, `nixie-agent-linux-${process.arch}`));
    if (process.arch !== 'arm64') {
      const other = await buildAgent({ outDir: join(work, 'arm64'), base: nodeForArm64(root, cache), commit });
      copyFileSync(other.path, join(outDir, 'nixie-agent-linux-arm64'));
    }
    const { version } = JSON.parse(readFileSync(join(root, 'controller/package.json'), 'utf8'));
    const lock = readFileSync(join(root, 'pnpm-lock.yaml'), 'utf8');
    writeFileSync(join(outDir, 'sbom.cdx.json'), sbom(lock, version, process.version.slice(1), Date.now()));
    const files = readdirSync(outDir).sort();
    const sums = files.map(
      (name) =>
        `${createHash('sha256')
          .update(readFileSync(join(outDir, name)))
          .digest('hex')}  ${name}\n`,
    );
    writeFileSync(join(outDir, 'SHA256SUMS'), sums.join(''));
    return [...files, 'SHA256SUMS'];
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const root = join(import.meta.dirname, '../..');
  for (const name of await pack(root, join(root, 'dist'))) console.log(join('dist', basename(name)));
}
