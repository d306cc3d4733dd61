import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { checkedOutCommit } from '../../bin/commit.js';

test('the commit of a checkout is what git says it is', (t) => {
  const box = mkdtempSync(join(tmpdir(), 'nixie-commit-'));
  t.after(() => rmSync(box, { recursive: true, force: true }));
  const main = join(box, 'main');
  mkdirSync(main);
  const git = (...argv: string[]) =>
    execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.org', ...argv], {
      cwd: main,
      encoding: 'utf8',
      stdio: 'pipe',
    }).trim();
  assert.equal(checkedOutCommit(main), '');
  git('init', '-q');
  assert.equal(checkedOutCommit(main), '', 'no commit yet');
  git('commit', '-q', '--allow-empty', '-m', 'one');
  const one = git('rev-parse', 'HEAD');
  assert.equal(checkedOutCommit(main), one);
  git('pack-refs', '--all');
  assert.equal(checkedOutCommit(main), one, 'packed');
  git('worktree', 'add', '-q', '-b', 'other', join(box, 'other'));
  git('commit', '-q', '--allow-empty', '-m', 'two');
  assert.equal(checkedOutCommit(main), git('rev-parse', 'HEAD'));
  assert.equal(checkedOutCommit(join(box, 'other')), one, 'a work tree');
  git('checkout', '-q', '--detach', one);
  assert.equal(checkedOutCommit(main), one, 'detached');
  writeFileSync(join(main, '.git/HEAD'), 'nonsense');
  assert.equal(checkedOutCommit(main), '');
});
