// One scenario for each kind of fault, several in one boot; `npm run faults` strikes with each alone.
import assert from 'node:assert/strict';
import test from 'node:test';
import { type Fault, machine1 } from '../faults/fault.ts';
import { addressChanges } from '../faults/kinds/address-changes.ts';
import { agentKilled } from '../faults/kinds/agent-killed.ts';
import { assertUnbuilt, withUnbuildable } from '../faults/kinds/build-fails.ts';
import { diskFullAtStart } from '../faults/kinds/controller-disk-full.ts';
import { controllerKilled } from '../faults/kinds/controller-killed.ts';
import { dhcpBack } from '../faults/kinds/dhcp-dead.ts';
import { falseDone } from '../faults/kinds/false-done.ts';
import { installerBroken } from '../faults/kinds/installer-broken.ts';
import { linkDown } from '../faults/kinds/link-down.ts';
import { portTaken } from '../faults/kinds/port-taken.ts';
import { sshdKilled } from '../faults/kinds/sshd-killed.ts';
import { strangeProxyAnswers } from '../faults/kinds/strange-proxy.ts';
import { targetReset } from '../faults/kinds/target-reset.ts';
import { oneCardListed, secondCard } from '../faults/kinds/two-cards.ts';
import { strike, type Together } from '../faults/strike.ts';
import { skipUnless } from '../lab/need.ts';
import { installLab, installLimitMs } from '../lab/scenario.ts';

const options = { skip: skipUnless(...installLab), timeout: 2 * installLimitMs };

async function survives(faults: readonly Fault[], together?: Together): Promise<void> {
  const { recovery } = await strike(faults, together);
  assert.ok(recovery.length >= faults.length, 'each fault struck');
}

test('a port that another program has is named with that program', options, () => survives([portTaken]));

test('without room for its state Nixie says so, and starts nothing', options, () => survives([diskFullAtStart]));

test(
  'a build that fails, a disk that is missing, DHCP that is dead for a while, a link that is down, an address that changes, the year 2038',
  options,
  () =>
    survives([dhcpBack, linkDown('loading'), linkDown('copy'), addressChanges], {
      lab: {
        machines: [
          { ...machine1, clock: '2038-01-19T03:13:50' },
          { ...machine1, name: 'machine2' },
          { ...machine1, name: 'machine3', diskSerial: 'ANOTHER' },
        ],
      },
      args: (scene) => withUnbuildable(scene, scene.args, 'machine2'),
      expect: {
        status: 1,
        results: { machine1: 'proved', machine2: 'failed', machine3: 'refused' },
        says: /^machine3 refused.*virtio-NIXIE3, which is no whole disk of this machine/,
      },
      look(field) {
        assertUnbuilt(field, 'machine2');
        const addresses = new Set(field.stages().map(({ address }) => address));
        addresses.delete(undefined);
        assert.equal(addresses.size, 2, [...addresses].join(' '));
      },
    }),
);

test(
  'a disk that is too small, agent and sshd killed, a link cut that looks like a reboot, the year 1970',
  options,
  () =>
    survives([agentKilled('copy'), sshdKilled, falseDone], {
      lab: {
        machines: [
          { ...machine1, clock: '1970-01-01T00:00:30' },
          { ...machine1, name: 'machine2', diskMiB: 320 },
        ],
      },
      expect: {
        status: 1,
        results: { machine1: 'proved', machine2: 'failed' },
        says: /^machine2 failed.*(?:full|space)/,
      },
      look(field) {
        const said = field.run.events.filter((event) => event.event === 'log' && event.source === 'proof');
        assert.ok(
          said.some((event) => event.event === 'log' && /wrong-key/.test(event.text)),
          'its installer was seen again, and not taken for the system',
        );
      },
    }),
);

test('a reset in the copy, then the controller killed in the next one', options, () =>
  survives([targetReset('copy'), controllerKilled('copy')], {
    inTurn: true,
    look(field) {
      assert.deepEqual(
        field.runs.map(
          ({ events }) => events.filter((event) => event.event === 'stage' && event.stage === 'disko').length,
        ),
        [2, 1],
        'disko ran again for the reset, and for the new life of the controller',
      );
    },
  }),
);

test(
  'an installer whose nixos-install is broken fails twice, is booted afresh, and installs; another card answers',
  options,
  () =>
    survives([installerBroken, oneCardListed], {
      lab: { machines: [{ ...machine1, secondCard }] },
      look(field) {
        const counts = ['restarting', 'disko', 'registered'].map(
          (stage) => field.stages().filter((event) => event.stage === stage).length,
        );
        assert.deepEqual(counts, [1, 2, 2]);
      },
    }),
);

test(
  "a stranger's ProxyDHCP: the firmware takes one of the two, and when it isn't ours Nixie says what may be the matter",
  options,
  () =>
    survives([strangeProxyAnswers], {
      look(field) {
        const taken = field.machine().serial.some(({ text }) => /strange\.efi/.test(text));
        assert.equal(field.stages().at(-1)?.stage, taken ? 'failed' : 'proved');
      },
    }),
);
