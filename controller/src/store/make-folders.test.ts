// Folders are made with those above them, or it is said at once why not.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { makeFolders } from './make-folders.ts';

test('folders are made with those above them, and what is there is left as it is', (t) => {
  const top = mkdtempSync(join(tmpdir(), 'nixie-folders-'));
  t.after(() => rmSync(top, { recursive: true }));
  assert.equal(makeFolders(join(top, 'a/b/c'), 0o700), join(top, 'a'));
  for (const each of ['a', 'a/b', 'a/b/c']) assert.equal(statSync(join(top, each)).mode & 0o777, 0o700);
  assert.equal(makeFolders(join(top, 'a/b/c')), undefined);
  assert.equal(makeFolders(join(top, 'a/b/d/'), 0o750), join(top, 'a/b/d'));
  symlinkSync(join(top, 'a'), join(top, 'link'));
  assert.equal(makeFolders(join(top, 'link/e')), join(top, 'link/e'));
  assert.equal(makeFolders(join(top, 'link')), undefined);

  writeFileSync(join(top, 'file'), '');
  symlinkSync(join(top, 'nothing'), join(top, 'dangling'));
  assert.throws(() => makeFolders(join(top, 'file')), /\/file is no folder$/);
  assert.throws(() => makeFolders(join(top, 'file/x')), /ENOTDIR: .*\/file\/x/);
  assert.throws(() => makeFolders(join(top, 'dangling')), /\/dangling is no folder, or a link to nothing$/);
  assert.throws(() => makeFolders(join(top, 'dangling/x')), /\/dangling is no folder, or a link to nothing$/);
});
