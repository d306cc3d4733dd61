// May a disk be written to now? Asked of what the simulation knows, not of what the controller believes.
import type { Disk } from './disk.ts';
import type { Witness } from './witness.ts';

export interface Write {
  readonly disk: Disk;
  /** Of the disk that the operator recorded; empty: of none. */
  readonly recordedSerial: string;
  /** The path that the machine's layout means. */
  readonly named: string | undefined;
  readonly mayLoseData: boolean;
  /** System and disk layout are in the store of the controller. */
  readonly built: boolean;
  /** Of the installer that writes. */
  readonly bootId: string | undefined;
  /** Number of the controller's life that has it written. */
  readonly life: number;
}

export function judgeWrite(witness: Witness, name: string, write: Write): void {
  const { disk, named, mayLoseData, bootId, life, recordedSerial, built } = write;
  const { content: old, shape } = disk;
  witness.holds(built, name, 'a disk was written before its system was built');
  witness.holds(old.kind !== 'foreign' || mayLoseData, name, 'a disk with data was written without consent');
  witness.holds(!shape.unreadable || mayLoseData, name, 'a disk that nobody could read was written without consent');
  witness.holds(shape.path === named, name, `the layout names ${named}, and ${shape.path} was meant`);
  // What is exchanged once the last look is over is nobody's to see.
  const serial = shape.serial.replace(/X+$/, '');
  witness.holds(['', serial].includes(recordedSerial), name, 'a disk was written that is not what was recorded');
  witness.holds(!shape.removable, name, 'a removable disk was written');
  // A controller that was killed before it heard of the end may do it again, while the machine is where it was: nobody has used that system.
  const again = old.kind === 'system' && old.life > 0 && old.ended !== true && old.bootId === bootId;
  witness.holds(
    old.kind !== 'system' || again || (mayLoseData && (old.life === 0 || old.life === life || !old.marked)),
    name,
    `an install that life ${old.kind === 'system' ? old.life : 0} of the controller had finished was written by life ${life}`,
  );
}
