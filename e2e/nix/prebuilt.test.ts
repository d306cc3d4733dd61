// The flake of the VM tests, whose systems are only named by their paths: nixie gets from it what it asks of every flake, without building.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { askMany, readAnswers, readHost, readInstaller } from '../../controller/src/nix/expression.ts';
import { needPrograms, skipUnless } from '../lab/need.ts';
import { isReal, makeNixBox, type NixBox, skip } from './nix.ts';

const why = skip || (isReal ? 'the real tests use it' : skipUnless(needPrograms(['python3'])));
const box: NixBox | undefined = why ? undefined : makeNixBox();
after(() => box?.remove());

test('prebuilt systems are a flake that nixie understands', { skip: why }, async () => {
  const made = await box!.value<{ flake: string; json: string; scripts: string[]; paths: string[] }>(`let
    pkgs = nixpkgs.legacyPackages.x86_64-linux;
    installer = nixie.nixosConfigurations.installer-x86_64-linux;
    machine1 = lib.nixosSystem { system = "x86_64-linux"; modules = [ disko.nixosModules.disko ${join(box!.tree, 'installer-nix/checks/machine.nix')} ]; };
    prebuilt = import ${join(box!.tree, 'installer-nix/checks/prebuilt.nix')} { inherit pkgs; configurations = { inherit installer machine1; }; };
  in {
    flake = prebuilt.flake.text; json = prebuilt.json.text; paths = map toString prebuilt.paths;
    scripts = map (name: nixie.checks.x86_64-linux.\${name}.script) [ "full-install" "image-registers" ];
  }`);
  const folder = join(box!.tree, 'prebuilt');
  mkdirSync(folder);
  writeFileSync(join(folder, 'flake.nix'), made.flake);
  writeFileSync(join(folder, 'configurations.json'), made.json);
  const ask = ['nix', 'eval', '--json', `path:${folder}#nixosConfigurations`, '--apply'];
  const answers = readAnswers((await box!.nix([...ask, askMany(['machine1'], ['installer'])])).stdout);
  const host = readHost((answers.hosts.machine1 as { value: unknown }).value);
  assert.ok(typeof host !== 'string', String(host));
  assert.deepEqual(host.diskDevices, { main: '/dev/disk/by-id/virtio-NIXIE1' });
  assert.equal(host.system, 'x86_64-linux');
  const installer = readInstaller((answers.installers.installer as { value: unknown }).value);
  assert.ok(typeof installer !== 'string' && installer.form === 'bundle', String(installer));
  // Everything that is named lies in the serving machine's store.
  for (const output of [host.toplevel, host.diskoScript, installer.bundle])
    for (const path of [output.drv, output.out]) assert.ok(made.paths.includes(path), path);
  const file = join(box!.tree, 'prebuilt/script.py');
  for (const script of made.scripts) {
    assert.match(script, /create_machine\("\/nix\/store\/[^"]*", name="machine1"\)/);
    // It reads the story that the lab acts out.
    assert.match(script, /open\("\/nix\/store\/[a-z0-9]{32}-(?:full-install|image-registers)\.json"\)/);
    writeFileSync(file, script);
    execFileSync('python3', ['-c', `import ast, sys; ast.parse(open(sys.argv[1]).read())`, file], { timeout: 120_000 });
  }
});
