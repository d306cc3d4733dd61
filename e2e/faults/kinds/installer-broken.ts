// A program of the running installer is broken, as bad memory or a torn download leaves it: every try there fails, and a fresh boot heals it.
import { allProved, type Fault } from '../fault.ts';

export const installerBroken: Fault = {
  name: 'installer-broken-install',
  what: 'nixos-install of the running installer broken until it boots anew',
  where: 'nixos-install',
  async inject(field) {
    await field.copying();
    // `command -v false` names the shell's own.
    await field.inInstaller('mount --bind /usr/bin/false "$(command -v nixos-install)"');
    field.struck('machine1', 'rebooting');
    await field.reached('restarting');
  },
  expect: allProved,
};
