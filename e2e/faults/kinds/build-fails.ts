// The system of one of three hosts can't be built; the two others are installed. It may have been woken by then: machines boot while systems are built.
import assert from 'node:assert/strict';
import { cpSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Scene } from '../../lab/scenario.ts';
import { type Fault, machine1 } from '../fault.ts';
import type { Field } from '../field.ts';

/** The arguments with the lab's flake replaced by one in which the system of `host` fails to build. */
export function withUnbuildable(scene: Scene, args: readonly string[], host: string): readonly string[] {
  const folder = join(scene.lab.folder, 'unbuildable');
  cpSync(scene.supplies.flake.replace(/^path:/, ''), folder, { recursive: true });
  renameSync(join(folder, 'flake.nix'), join(folder, 'whole.nix'));
  writeFileSync(
    join(folder, 'flake.nix'),
    `{
  outputs = { self }: let
    whole = (import ./whole.nix).outputs { inherit self; };
    one = whole.nixosConfigurations.${host};
    fails = derivation {
      name = "nixos-system-${host}";
      system = "x86_64-linux";
      builder = "/bin/sh";
      args = [ "-c" "echo 'error: the compiler found a mistake' >&2; exit 3" ];
    };
  in whole // {
    nixosConfigurations = whole.nixosConfigurations // {
      ${host}.config = one.config // {
        system = one.config.system // { build = one.config.system.build // { toplevel = fails; }; };
      };
    };
  };
}
`,
  );
  return args.map((word, i) => (args[i - 1] === '--flake' ? `path:${folder}` : word));
}

/** It has failed with the build's own words, and nothing was begun on its disks. That they are as they were is looked at after every fault. */
export function assertUnbuilt(field: Field, host: string): void {
  const stages = field.stages(host);
  const passed = stages.map(({ stage }) => stage);
  assert.match(stages.at(-1)?.reason ?? '', new RegExp(`nixos-system-${host}\\.drv' failed with exit code 3`));
  for (const stage of ['preflight', 'disko', 'copy', 'install'] as const)
    assert.ok(!passed.includes(stage), `${host}, which was not built, came to ${passed.join(' ')}`);
  assert.ok(field.machine(host).boots <= 1, `${host} was powered on ${field.machine(host).boots} times`);
}

export const buildFails: Fault = {
  name: 'build-fails',
  what: 'the build of one of three hosts fails',
  where: 'build',
  lab: {
    machines: [machine1, { ...machine1, name: 'machine2' }, { ...machine1, name: 'machine3' }],
  },
  args: (scene) => withUnbuildable(scene, scene.args, 'machine2'),
  async inject(field) {
    await field.reached('failed', 'machine2');
    field.struck('machine2');
  },
  look: (field) => assertUnbuilt(field, 'machine2'),
  expect: {
    status: 1,
    results: { machine1: 'proved', machine2: 'failed', machine3: 'proved' },
    says: /machine2|build/,
  },
};
