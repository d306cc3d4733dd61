// services.nixie-agent.fleet: an image in two parts.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test, { after } from 'node:test';
import { readCommand } from '../../agent/src/settings.ts';
import { makeNixBox, type NixBox, skip } from './nix.ts';

const box: NixBox | undefined = skip ? undefined : makeNixBox();
after(() => box?.remove());

const module = new URL('../../installer-nix/', import.meta.url);

test('an image in two parts: a boot stage of busybox, and behind the store what it fetches first', {
  skip,
}, async () => {
  const image = (config: string) => `(nixie.lib.mkInstaller { system = "x86_64-linux"; modules = [ (${config}) ]; })`;
  const all = await box!.value<{
    name: string;
    plain: string;
    bundle: string;
    stage: string;
    limited: string;
    drivers: string[];
    device: string;
    plainDevice: string;
    program: string;
    compressor: string;
    plainCompressor: string;
  }>(`let
    plain = ${image('{ }')};
    fleet = ${image('{ services.nixie-agent.fleet.enable = true; }')};
    limited = ${image('{ services.nixie-agent.fleet = { enable = true; uploadLimit = 50; networkDrivers = [ "odd_card" ]; }; }')};
    storeOf = i: i.config.fileSystems."/nix/.ro-store".device;
  in {
    name = fleet.config.system.build.nixie.drvPath;
    plain = plain.config.system.build.nixie.drvPath;
    bundle = fleet.config.system.build.nixie.script;
    stage = fleet.config.system.build.nixieBootStage.script;
    limited = limited.config.system.build.nixieBootStage.script;
    drivers = limited.config.services.nixie-agent.fleet.networkDrivers;
    device = storeOf fleet;
    plainDevice = storeOf plain;
    program = fleet.config.boot.initrd.systemd.extraBin.nixie-agent;
    compressor = fleet.config.boot.initrd.compressor;
    plainCompressor = plain.config.boot.initrd.compressor;
  }`);
  assert.match(all.name, /nixie-fleet-installer-x86_64-linux\.drv$/);
  assert.match(all.plain, /nixie-installer-x86_64-linux\.drv$/);
  assert.equal(all.plainDevice, '../nix-store.squashfs');
  assert.deepEqual([all.compressor, all.plainCompressor], ['gzip', 'zstd']);
  assert.match(all.program, /\/bin\/nixie-agent$/);
  assert.deepEqual(all.drivers, ['odd_card']);

  // Where the script puts the image, the system looks for it; and what it calls the agent with, the agent understands.
  const init = readFileSync(new URL('stage/init', module), 'utf8');
  const folder = /^folder=(\S+)$/m.exec(init)?.[1];
  assert.equal(all.device, `${folder}/image`);
  const given = (stage: string): string => /^\s*printf %s '(.*)' > r\/stage\/arguments$/m.exec(stage)![1]!;
  const called = /exec @nixie-agent (.*)$/m.exec(init)![1]!;
  const words = (stage: string): string[] =>
    called
      .replace('$(cat /stage/arguments)', given(stage))
      .replaceAll('$folder', folder!)
      .split(' ')
      .filter((word) => word !== '');
  const told = ['--image', 'e'.repeat(64), '--door', '10.0.0.1'];
  const command = readCommand([...words(all.stage), ...told]);
  assert.ok(command.kind === 'fetch' && command.settings.serve && command.settings.file === all.device);
  assert.equal(command.settings.chunks, `${folder}/first/served/c`);
  assert.equal(command.settings.uploadBytesPerSecond, undefined);
  const limited = readCommand([...words(all.limited), ...told]);
  assert.ok(limited.kind === 'fetch' && limited.settings.uploadBytesPerSecond === 50e6);
});

test('the bundle is put together so that the controller reads it and the boot stage finds its part', {
  skip,
}, async () => {
  const script = await box!.value<string>(
    '(nixie.lib.mkInstaller { system = "x86_64-linux"; modules = [ { services.nixie-agent.fleet.enable = true; } ]; }).config.system.build.nixie.script',
  );
  const folder = mkdtempSync(join(tmpdir(), 'nixie-bundle-'));
  try {
    // The builder's own lines over files of ours in the places of the store's.
    const file = (name: string, content: Buffer | string): string => {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), content);
      return join(folder, name);
    };
    const first = randomBytes(70_000);
    file('initial-ramdisk/initrd', first);
    file('squashfs.img', randomBytes(1_500_000));
    file('toplevel/kernel-params', 'quiet loglevel=4');
    const own = script
      .replaceAll(/\/nix\/store\/\S*?-initial-ramdisk/g, join(folder, 'initial-ramdisk'))
      .replaceAll(/\/nix\/store\/\S*?-squashfs\.img/g, join(folder, 'squashfs.img'))
      .replaceAll(/\/nix\/store\/[^\s/]*\/kernel-params/g, join(folder, 'toplevel/kernel-params'));
    execFileSync('bash', ['--norc', '-euc', own], { env: { PATH: process.env.PATH, out: join(folder, 'out') } });
    const image = readFileSync(join(folder, 'out/image'));
    const params = readFileSync(join(folder, 'out/kernel-params'), 'utf8').trim();
    const [, sha256, at, bytes] = /^quiet loglevel=4 nixie\.first=([0-9a-f]{64}),(\d+),(\d+)$/.exec(params)!;
    assert.deepEqual([Number(at), Number(bytes)], [2 * (1 << 20), first.length]);
    const part = image.subarray(Number(at), Number(at) + Number(bytes));
    assert.ok(part.equals(first) && image.length === Number(at) + Number(bytes));
    assert.equal(createHash('sha256').update(part).digest('hex'), sha256);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
