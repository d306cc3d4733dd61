import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { readStories, readStory } from './story.ts';

test('the stories, each of which is also a check of the flake', () => {
  const names = readStories().map(({ name }) => name);
  assert.deepEqual(names, ['full-install', 'image-registers']);
  const checks = readFileSync(join(import.meta.dirname, '../../installer-nix/checks/default.nix'), 'utf8');
  for (const name of names) assert.ok(checks.includes(`"${name}"`), name);
});

test('a story that speaks of what is not there is refused', () => {
  const file = join(import.meta.dirname, 'full-install.json');
  const good = readFileSync(file, 'utf8');
  for (const [from, to, why] of [
    ['"status": 0', '"stauts": 0', /a run: found stauts/],
    ['"machine1": "proved"', '"machine2": "proved"', /no machine machine2/],
    ['"machine1": "proved"', '"machine1": "prooved"', /no stage prooved/],
    ['"firmware": "bios"', '"firmware": "coreboot"', /firmware: found coreboot/],
    ['"dhcp": "only"', '"dhcp": "none"', /dhcp: found none, accepted: only, beside/],
  ] as const) {
    assert.ok(good.includes(from));
    assert.throws(() => readStory(file, good.replace(from, to)), why);
  }
});
