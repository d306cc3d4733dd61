// The machine's disk is too small for the system, or it isn't there at all.
import { type Fault, machine1 } from '../fault.ts';

export const diskFull: Fault = {
  name: 'disk-full',
  what: 'target disk full (320 MiB)',
  where: 'copy',
  lab: { machines: [{ ...machine1, diskMiB: 320 }] },
  async inject(field) {
    await field.copying();
    field.struck();
  },
  expect: { status: 1, results: { machine1: 'failed' }, says: /no space|full/i },
};

export const diskMissing: Fault = {
  name: 'disk-missing',
  what: 'the disk of the layout is missing',
  where: 'preflight',
  lab: { machines: [{ ...machine1, diskSerial: 'ANOTHER' }] },
  async inject(field) {
    await field.reached('preflight');
    field.struck();
  },
  expect: {
    status: 1,
    results: { machine1: 'refused' },
    says: /virtio-NIXIE1, which is no whole disk of this machine/,
  },
};
