// The uplink of a site is cut for a minute while the closure is copied there; `npm run faults` cuts it in other stages as well.
import assert from 'node:assert/strict';
import test from 'node:test';
import { uplinkCut } from '../faults/kinds/site.ts';
import { strike } from '../faults/strike.ts';
import { needPrograms, skipUnless } from '../lab/need.ts';
import { installLab, installLimitMs } from '../lab/scenario.ts';

test('an install goes on when the uplink of its relay is back: no failure counts, no second boot', {
  skip: skipUnless(...installLab, needPrograms(['nft'])),
  timeout: 2 * installLimitMs,
}, async () => {
  const { recovery, happened } = await strike([uplinkCut('copy')]);
  assert.equal(recovery.length, 1);
  assert.ok(
    happened.some((text) => /the link of relay rack7 was lost meanwhile/.test(text)),
    happened.join('\n'),
  );
});
