// A crash of a process that holds secrets must not write its memory to a disk, and other processes of the same user must not read it.
import koffi from 'koffi';

// prctl(2)
const PR_GET_DUMPABLE = 3;
const PR_SET_DUMPABLE = 4;

/** No core dump of this process from now on; its children are as they would be. False when the kernel refuses. */
export function becomeUndumpable(): boolean {
  const prctl = koffi.load(null).func('int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long)');
  return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) === 0 && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) === 0;
}
