// The disk of the controller is full: the state folder lies on a file system of 1 MiB.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Scene } from '../../lab/scenario.ts';
import { allProved, type Fault } from '../fault.ts';

const trigger = ({ lab }: Scene) => join(lab.folder, 'fill');
/** Mounts it in Nixie's own mount namespace, and fills it when a file appears. */
const small = (scene: Scene, argv: readonly string[]): readonly string[] => [
  'sh',
  '-c',
  'mount -t tmpfs -o size=1m,mode=700 tmpfs "$0" || exit 99; fill=$1; shift; ' +
    'fill() { dd if=/dev/zero of="$0/filler" bs=4096 2> /dev/null; }; ' +
    'if [ -e "$fill" ]; then fill; else (until [ -e "$fill" ]; do sleep 0.2; done; fill) & fi; exec "$@"',
  scene.lab.stateFolder,
  trigger(scene),
  ...argv,
];

export const diskFullAtStart: Fault = {
  name: 'controller-disk-full-start',
  what: "controller's disk full",
  where: 'start',
  wrap: small,
  async before({ scene }) {
    writeFileSync(trigger(scene), '');
  },
  async inject(field) {
    field.struck();
  },
  expect: { status: 1, results: {}, says: /write \/.*: .*no space left on device/i },
};

export const diskFullInCopy: Fault = {
  name: 'controller-disk-full-copy',
  what: "controller's disk full",
  where: 'copy',
  wrap: small,
  async inject(field) {
    await field.copying();
    writeFileSync(trigger(field.scene), '');
    field.struck();
  },
  expect: allProved,
};
