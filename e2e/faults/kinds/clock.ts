// The machine's clock is wrong by decades.
import { allProved, type Fault, machine1 } from '../fault.ts';

export function clockAt(year: '1970' | '2038', base: string): Fault {
  return {
    name: `clock-${year}`,
    what: `the machine's clock says ${base}`,
    where: 'power-on',
    lab: { machines: [{ ...machine1, clock: base }] },
    async inject(field) {
      await field.reached('waking');
      field.struck();
    },
    expect: allProved,
  };
}

// The second one passes the end of 32-bit time while it boots.
export const clocks: readonly Fault[] = [
  clockAt('1970', '1970-01-01T00:00:30'),
  clockAt('2038', '2038-01-19T03:13:50'),
];
