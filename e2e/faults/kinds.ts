// All kinds of faults, in the order of the table.
import type { Fault } from './fault.ts';
import { addressChanges } from './kinds/address-changes.ts';
import { agentKills } from './kinds/agent-killed.ts';
import { buildFails } from './kinds/build-fails.ts';
import { clocks } from './kinds/clock.ts';
import { diskFullAtStart, diskFullInCopy } from './kinds/controller-disk-full.ts';
import { controllerKills } from './kinds/controller-killed.ts';
import { dhcpBack, dhcpDead } from './kinds/dhcp-dead.ts';
import { diskFull, diskMissing } from './kinds/disk.ts';
import { falseDone } from './kinds/false-done.ts';
import { installerBroken } from './kinds/installer-broken.ts';
import { linkDowns } from './kinds/link-down.ts';
import { portTaken } from './kinds/port-taken.ts';
import { relayDeads } from './kinds/relay-dead.ts';
import { siteFaults } from './kinds/site.ts';
import { sshdKilled } from './kinds/sshd-killed.ts';
import { strangeProxyAnswers } from './kinds/strange-proxy.ts';
import { targetResets } from './kinds/target-reset.ts';
import { bothCardsListed, oneCardListed } from './kinds/two-cards.ts';

export const faults: readonly Fault[] = [
  portTaken,
  diskFullAtStart,
  diskFullInCopy,
  buildFails,
  dhcpBack,
  dhcpDead,
  ...relayDeads,
  ...siteFaults,
  strangeProxyAnswers,
  ...clocks,
  ...linkDowns,
  ...agentKills,
  sshdKilled,
  ...targetResets,
  installerBroken,
  ...controllerKills,
  diskMissing,
  diskFull,
  falseDone,
  addressChanges,
  bothCardsListed,
  oneCardListed,
];
