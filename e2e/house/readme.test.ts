// The documents' commands are commands of the program, its hosts files are accepted, and what they name is there.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { type Handlers, runProgram } from '../../controller/src/cli/program.ts';
import type { Surroundings } from '../../controller/src/config/flags.ts';
import { parseHosts } from '../../controller/src/config/hosts.ts';

const root = join(import.meta.dirname, '../..');
const pages = ['README.md', 'CONTRIBUTING.md', 'ARCHITECTURE.md', 'docs/subnets.md'];
const text = (page: string) => readFileSync(join(root, page), 'utf8');

/** Lines of code blocks and code spans. */
function code(page: string): string[] {
  const blocks = [...text(page).matchAll(/^```\w*\n([\s\S]*?)^```/gm)].flatMap((match) => match[1]!.split('\n'));
  const spans = [
    ...text(page)
      .replace(/^```[\s\S]*?^```/gm, '')
      .matchAll(/`([^`\n]+)`/g),
  ].map((match) => match[1]!);
  return [...blocks, ...spans].map((line) => line.replace(/\s+#.*$/, '').trim());
}

test('every nixie command line in the documents is understood', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-readme-'));
  try {
    const key = join(folder, 'key');
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
    const hosts = new TextEncoder().encode('{"machine1": {"mac_address": "aa:bb:cc:dd:ee:01"}}');
    const around: Surroundings = {
      cwd: '/w',
      uid: 0,
      env: { HOME: '/h' },
      readFile: (path) => (path.endsWith('.json') ? hosts : readFileSync(key)),
      // What an inventory-only run will write isn't there yet.
      look: (path) =>
        /\.pcap$|(?<!nixie-inventory\/hosts)\.json$|id_ed25519$/.test(path)
          ? { kind: 'file', mode: 0o100600, uid: 0 }
          : undefined,
    };
    const handlers: Handlers = {
      install: async () => 0,
      check: async () => 0,
      explain: async () => 0,
      wake: async () => 0,
      serve: async () => 0,
      retry: async () => 0,
      cancel: async () => 0,
      status: async () => 0,
      inventory: async () => 0,
      inventoryOnly: async () => 0,
      logs: async () => 0,
      doctor: async () => 0,
      relay: async () => 0,
      relayToken: async () => 0,
      names: async () => [],
    };
    const lines = pages
      .flatMap(code)
      .filter((line) =>
        /^(?:sudo )?nixie -|^(?:sudo )?nixie (?:check|explain|wake|install|serve) -|^(?:sudo )?nixie (?:status|inventory|logs|retry|cancel|doctor)\b/.test(
          line,
        ),
      );
    assert.ok(lines.length >= 3, lines.join('\n'));
    for (const line of lines) {
      await t.test(line, async () => {
        const words = line
          .replace(/^sudo /, '')
          .split(/\s+/)
          .slice(1);
        let said = '';
        const out = (more: string) => {
          said += more;
        };
        assert.equal(await runProgram(words, handlers, { around, version: '0', out, err: out }), 0, said);
      });
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('every npm script in the documents is there', () => {
  const { scripts } = JSON.parse(text('package.json')) as { scripts: Record<string, string> };
  const named = pages.flatMap((page) => [...text(page).matchAll(/npm (?:run )?([a-z:]+)/g)].map((match) => match[1]!));
  assert.ok(named.includes('demo') && named.includes('test'));
  assert.deepEqual(
    named.filter((name) => scripts[name] === undefined && name !== 'exec'),
    [],
  );
});

test('the hosts files in the documents are accepted', () => {
  const blocks = pages.flatMap((page) =>
    [...text(page).matchAll(/^```json\n([\s\S]*?)^```/gm)].map((match) => match[1]!),
  );
  assert.ok(blocks.length > 0);
  for (const block of blocks) {
    const read = parseHosts(new TextEncoder().encode(block), 'README.md');
    assert.ok(read.ok, JSON.stringify(read));
  }
});

test('folders that the documents name in ARCHITECTURE.md are there', () => {
  const named = [...text('ARCHITECTURE.md').matchAll(/`((?:[a-z]+\/)+)`/g)].map((match) => match[1]!);
  assert.deepEqual(
    [...new Set(named)].filter(
      (path) => !existsSync(join(root, 'controller/src', path)) && !existsSync(join(root, path)),
    ),
    [],
  );
});
