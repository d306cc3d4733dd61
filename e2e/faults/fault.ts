// One kind of fault: where it strikes, how it is done, and how Nixie's run must end all the same.
import type { Stage } from '../../controller/src/machine/stage.ts';
import type { MachineSpec } from '../lab/qemu.ts';
import type { Scene } from '../lab/scenario.ts';
import type { Field } from './field.ts';

export interface Fault {
  /** For `--only`: words joined by `-`. */
  readonly name: string;
  /** For the table. */
  readonly what: string;
  /** For the table: the stage, or the place. */
  readonly where: string;
  /** What the lab needs beside one UEFI machine called machine1, off, with a blank disk, beside a foreign DHCP server. */
  readonly lab?: {
    readonly machines?: readonly (Omit<MachineSpec, 'mac'> & { mac?: string })[];
    /** Names in the hosts file; default: the machines. */
    readonly hosts?: readonly string[];
    /** More keys in the hosts file, by host. */
    readonly hostKeys?: Readonly<Record<string, Record<string, unknown>>>;
    /** The machines are in another subnet, behind a relay; `$subnets` of the hosts file. */
    readonly beyond?: boolean;
    /** The machines are behind `nixie relay`, which runs when Nixie is started. */
    readonly site?: 'routed' | 'apart';
    readonly subnets?: readonly Readonly<Record<string, string>>[];
  };
  /** The arguments of this run. */
  args?(scene: Scene): readonly string[];
  /** Wraps Nixie's own command line, inside its namespaces. */
  wrap?(scene: Scene, argv: readonly string[]): readonly string[];
  /** Done before Nixie starts. */
  before?(field: Field): Promise<void>;
  /** Waits for its moment, tells it by `field.struck()`, and returns when the fault is over. */
  inject(field: Field): Promise<void>;
  /** Looks at more when all is over; throws when it isn't as it must be. */
  look?(field: Field): void | Promise<void>;
  readonly expect: Expectation;
}

export interface Expectation {
  readonly status: number;
  /** By host; default: every host is proved. */
  readonly results?: Readonly<Record<string, Stage>>;
  /** What the reasons of those that failed, or the last words of a run that didn't start, must say. */
  readonly says?: RegExp;
  /** Where chance decides: it may end like this as well. */
  readonly or?: Expectation;
}

export const allProved: Expectation = { status: 0 };

/** The machine that most faults strike. */
export const machine1 = { name: 'machine1', firmware: 'uefi', bootOrder: 'disk-first' } as const;
