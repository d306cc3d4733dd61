// What zsh and fish offer at a Tab, asked of the shells themselves with the real program: sourced, and where a package puts the scripts.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before, describe } from 'node:test';
import { needPrograms, skipUnless } from '../lab/need.ts';

const skip = skipUnless(needPrograms(['zsh', 'fish']));
const nixie = join(import.meta.dirname, '../../controller/bin/nixie.js');

/** A line, and what a Tab at its end offers. */
const tabs: readonly (readonly [line: string, ...words: string[]])[] = [
  ['nixie w', 'wake'],
  ['nixie re', 'relay', 'relay-token', 'retry'],
  ['nixie --inst', '--install-timeout', '--installer'],
  ['nixie check --inst', '--installer'],
  ['nixie --dhcp ', 'off', 'proxy', 'range='],
  ['nixie --hosts ho', 'hosts.json'],
  ['nixie --hosts hosts.json --only w', 'web1', 'web2'],
  ['nixie wake --hosts hosts.json ', 'db', 'web1', 'web2'],
  ['nixie logs web1 --stage pr', 'preflight', 'probing', 'proved', 'proving'],
  ['nixie completion ', 'bash', 'fish', 'zsh'],
  ['nixie --jobs '],
];

describe('completion', { skip, timeout: 600_000 }, () => {
  let folder: string;
  let env: Record<string, string>;
  const script = (shell: string) =>
    execFileSync(process.execPath, [nixie, 'completion', shell], { encoding: 'utf8', timeout: 60_000 });

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'nixie-tab-'));
    const fishFolder = join(folder, 'config/fish/completions');
    mkdirSync(fishFolder, { recursive: true });
    mkdirSync(join(folder, 'bin'));
    symlinkSync(nixie, join(folder, 'bin/nixie'));
    const hosts = ['web1', 'web2', 'db'].map((name, i) => [name, { mac_address: `52:54:00:00:00:0${i}` }]);
    writeFileSync(join(folder, 'hosts.json'), JSON.stringify(Object.fromEntries(hosts)));
    writeFileSync(join(folder, '_nixie'), script('zsh'));
    writeFileSync(join(fishFolder, 'nixie.fish'), script('fish'));
    env = {
      PATH: `${join(folder, 'bin')}:${process.env.PATH}`,
      HOME: folder,
      XDG_CONFIG_HOME: join(folder, 'config'),
      TERM: 'xterm',
      LC_ALL: 'C',
    };
  });
  after(() => folder && rmSync(folder, { recursive: true, force: true }));

  const ask = (program: string, args: readonly string[]) =>
    execFileSync(program, args, { cwd: folder, env, encoding: 'utf8', timeout: 60_000 });

  for (const way of ['sourced', 'fpath'])
    test(`zsh, ${way}: at the first Tab of a shell`, () => {
      const asker = join(import.meta.dirname, '../lab/zsh-completion.zsh');
      for (const [line, ...words] of tabs)
        assert.deepEqual(ask('zsh', ['-f', asker, folder, way, line]).split(/\s+/).filter(Boolean).sort(), words, line);
    });

  test('fish', () => {
    for (const [line, ...words] of tabs) {
      const offered = ask('fish', ['-c', 'complete -C $argv[1]', line]).split('\n').filter(Boolean);
      assert.deepEqual(offered.map((each) => each.split('\t')[0]).sort(), words, line);
    }
  });
});
