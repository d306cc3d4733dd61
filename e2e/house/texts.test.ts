import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { read, readText, root, trackedFiles } from './tracked.ts';

const files = trackedFiles();

// Written in pieces, or this file would be found.
const unwanted: [string, RegExp][] = [
  [
    'a note to come back later',
    new RegExp(`\\b(?:${['TO', 'FIX', 'X'].map((a, i) => a + ['DO', 'ME', 'XX'][i]).join('|')})\\b`),
  ],
  [
    'the host of a package registry',
    new RegExp(
      [
        'registry\\.np',
        'mjs\\.org|registry\\.yarn',
        'pkg\\.com|pkg\\.',
        'dev/|jf',
        'rog\\.io|artifact',
        'ory/api',
      ].join(''),
    ),
  ],
  [
    'a path of one computer',
    new RegExp(['(?<![\\w.])/wo', 'rk/(?:main|shared)', '|/ho', 'me/(?!op\\b|user\\b|me\\b)[a-z]+/'].join('')),
  ],
];
for (const [name, pattern] of unwanted) {
  test(`no file holds ${name}`, () => {
    assert.ok(files.length > 100);
    const found = files
      .filter((path) => path !== 'pnpm-lock.yaml')
      .flatMap((path) =>
        (readText(path) ?? '')
          .split('\n')
          .flatMap((line, i) => (pattern.test(line) ? [`${path}:${i + 1}: ${line.trim().slice(0, 100)}`] : [])),
      );
    assert.deepEqual(found, []);
  });
}

test('a file of more than 400 lines says in its first comment why it is long', () => {
  const long = files
    .filter((path) => /\.(?:[mc]?[jt]s|nix|proto)$/.test(path) && !/\.schema\.|\/fixtures\//.test(path))
    .filter((path) => {
      const text = read(path);
      return text.split('\n').length > 401 && !/long because/.test(firstComment(text));
    });
  assert.deepEqual(long, []);
});

function firstComment(text: string): string {
  return /^\s*(?:#![^\n]*\n\s*)?((?:(?:\/\/|#)[^\n]*\n)+|\/\*[\s\S]*?\*\/)/.exec(text)?.[1] ?? '';
}

test('every relative link of a page leads to a file, and to a heading of it', () => {
  const pages = files.filter((path) => path.endsWith('.md'));
  const dead = pages.flatMap((page) => {
    const text = read(page)
      .replace(/```[\s\S]*?```/g, '')
      .replace(/`[^`\n]*`/g, '');
    const links = [
      ...text.matchAll(/\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g),
      ...text.matchAll(/^\[[^\]]+\]:\s*(\S+)/gm),
    ];
    return links
      .map((match) => match[1]!)
      .filter((link) => !/^[a-z][a-z0-9+.-]*:|^\/\//i.test(link))
      .filter((link) => {
        const [place = '', anchor] = link.split('#');
        const target = place === '' ? page : join(dirname(page), decodeURIComponent(place));
        if (target.startsWith('..') || !existsSync(join(root, target))) return true;
        return anchor !== undefined && target.endsWith('.md') && !headings(read(target)).has(anchor);
      })
      .map((link) => `${page}: ${link}`);
  });
  assert.deepEqual(dead, []);
});

/** Anchors as code hosts make them: lower case, spaces to `-`, punctuation away. */
function headings(text: string): Set<string> {
  const plain = text.replace(/```[\s\S]*?```/g, '');
  return new Set(
    [...plain.matchAll(/^#{1,6} +(.+?) *#*$/gm)].map((match) =>
      match[1]!
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replace(/\s/g, '-'),
    ),
  );
}
