import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import test from 'node:test';
import { Command } from 'commander';
import { manPage } from './man-page.ts';

const program = new Command('nixie').description('Turns blank machines into systems.').version('1');
program
  .command('install')
  .description('install:\n.dots and \\backslashes')
  .option('--hosts <file>', "the hosts file\n'quoted' at the start");
program.command('complete-hosts', { hidden: true });

test('each command and option, and nothing that roff would take for its own', () => {
  const page = manPage(program, '1 (commit abc)');
  assert.match(page, /^\.TH NIXIE 8 "" "nixie 1 \(commit abc\)"/);
  assert.match(page, /\n\.B nixie install \[options\]\n/);
  assert.match(page, /\n\.SS "nixie install"\ninstall:\n\\&\.dots and \\ebackslashes\n/);
  assert.match(page, /\n\.TP\n\.B "\\-\\-hosts <file>"\nthe hosts file\n\\&'quoted' at the start\n/);
  assert.doesNotMatch(page, /complete/);
  const macros = new Set(page.split('\n').flatMap((line) => /^\.([A-Z]+|[a-z]+)/.exec(line)?.[1] ?? []));
  assert.deepEqual([...macros].sort(), ['B', 'BR', 'SH', 'SS', 'TH', 'TP', 'fi', 'nf']);
});

test('groff has nothing to say against it', (t) => {
  const ran = spawnSync('groff', ['-man', '-Tutf8', '-ww', '-z'], {
    input: manPage(program, '1'),
    encoding: 'utf8',
    timeout: 20_000,
  });
  if (ran.error !== undefined) return t.skip('groff is not installed');
  assert.equal(ran.stderr, '');
});
