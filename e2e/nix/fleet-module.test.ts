// services.nixie-agent.fleet: an image in two parts.
import assert from 'node:assert/strict';
import test, { after } from 'node:test';
import { readCommand } from '../../agent/src/settings.ts';
import { makeNixBox, type NixBox, skip } from './nix.ts';

const box: NixBox | undefined = skip ? undefined : makeNixBox();
after(() => box?.remove());

test('an image in two parts: stage 1 fetches the store and mounts it from where it lies', { skip }, async () => {
  const image = (config: string) => `(nixie.lib.mkInstaller { system = "x86_64-linux"; modules = [ (${config}) ]; })`;
  const all = await box!.value<{
    name: string;
    plain: string;
    command: string;
    limited: string;
    requiredBy: string[];
    device: string;
    plainDevice: string;
    notify: boolean;
    stored: boolean;
    clientId: string;
  }>(`let
    plain = ${image('{ }')};
    fleet = ${image('{ services.nixie-agent.fleet.enable = true; }')};
    limited = ${image('{ services.nixie-agent.fleet = { enable = true; uploadLimit = 50; }; }')};
    stage = fleet.config.boot.initrd.systemd;
    unit = stage.services.nixie-image;
    storeOf = i: i.config.fileSystems."/nix/.ro-store".device;
  in {
    name = fleet.config.system.build.nixie.drvPath;
    plain = plain.config.system.build.nixie.drvPath;
    command = unit.serviceConfig.ExecStart;
    limited = limited.config.boot.initrd.systemd.services.nixie-image.serviceConfig.ExecStart;
    inherit (unit) requiredBy;
    device = storeOf fleet;
    plainDevice = storeOf plain;
    notify = stage.extraBin ? systemd-notify;
    stored = builtins.any (path: builtins.match ".*/bin/nixie-agent" path != null) stage.storePaths;
    clientId = stage.network.networks."10-nixie".dhcpV4Config.ClientIdentifier;
  }`);
  assert.match(all.name, /nixie-fleet-installer-x86_64-linux\.drv$/);
  assert.match(all.plain, /nixie-installer-x86_64-linux\.drv$/);
  assert.equal(all.plainDevice, '../nix-store.squashfs');
  assert.equal(all.device, '/run/nixie-image/nix-store.squashfs');
  // The first word is the program, the second its name; the rest is what the agent must understand.
  const [program, name, ...args] = all.command.split(' ');
  assert.match(program!, /^@\/.*\/bin\/nixie-agent$/);
  assert.equal(name, '@nixie-agent');
  const told = ['--image', 'e'.repeat(64), '--door', '10.0.0.1'];
  const command = readCommand([...args, ...told]);
  assert.ok(command.kind === 'fetch' && command.settings.serve && command.settings.file === all.device);
  const limited = readCommand([...all.limited.split(' ').slice(2), ...told]);
  assert.ok(limited.kind === 'fetch');
  assert.equal(limited.settings.uploadBytesPerSecond, 50e6);
  assert.deepEqual(all.requiredBy, ['sysroot-nix-.ro\\x2dstore.mount']);
  assert.deepEqual([all.notify, all.stored, all.clientId], [true, true, 'mac']);
});
