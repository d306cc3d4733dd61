// Which card the boot stage takes its address from: its own words, with cards and DHCP played. Real ones are in the scenarios that boot.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { run } from '../lab/child.ts';
import { needPrograms, skipUnless } from '../lab/need.ts';

const skip = skipUnless(needPrograms(['busybox']));
const init = readFileSync(join(import.meta.dirname, '../../installer-nix/stage/init'), 'utf8');

/** The cards that were asked for an address, in order. @param answers shell that ends with 0 when card $1 gets one at time $2 of asking */
async function asked(t: test.TestContext, cards: readonly string[], bootCard: string, answers: string) {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-network-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const network = /^network\(\) \{\n[\s\S]*?^\}\n/m.exec(init)?.[0];
  assert.ok(network !== undefined);
  const script = `
cards() { printf '%s\\n' ${cards.join(' ')}; }
boot_card() { echo ${bootCard}; }
answers() { ${answers}
}
udhcpc() {
  local card
  while [ $# -gt 0 ]; do [ "$1" != -i ] || card=$2; shift; done
  echo "$card" >> ${folder}/asked
  answers "$card" "$(grep -cx "$card" ${folder}/asked)"
}
${network}
network`;
  writeFileSync(join(folder, 'asked'), '');
  writeFileSync(join(folder, 'script'), script);
  const { code } = await run(['busybox', 'sh', join(folder, 'script')], { accept: true });
  return { code, order: readFileSync(join(folder, 'asked'), 'utf8').split('\n').filter(Boolean) };
}

test('the card that was booted from has a minute before another network, which may lead nowhere, is taken', {
  skip,
}, async (t) => {
  // Spanning tree: nothing passes for half a minute. Beside it a network with a DHCP server of its own.
  const slow = await asked(t, ['eth1', 'eth0'], 'eth1', '[ "$1" = eth0 ] || [ "$2" -ge 3 ]');
  assert.deepEqual(slow, { code: 0, order: ['eth1', 'eth1', 'eth1'] });
  const dead = await asked(t, ['eth1', 'eth0'], 'eth1', '[ "$1" = eth0 ]');
  assert.deepEqual(dead, { code: 0, order: ['eth1', 'eth1', 'eth1', 'eth1', 'eth1', 'eth0'] });
});

test('where it is not known, or has no driver, all are asked by turns, and there is an end', { skip }, async (t) => {
  const found = await asked(t, ['eth0', 'eth1'], '', '[ "$1" = eth1 ] && [ "$2" = 2 ]');
  assert.deepEqual(found, { code: 0, order: ['eth0', 'eth1', 'eth0', 'eth1'] });
  const none = await asked(t, ['eth0', 'eth1'], '', 'false');
  assert.deepEqual(none, { code: 1, order: ['eth0', 'eth1', 'eth0', 'eth1', 'eth0', 'eth1'] });
});
