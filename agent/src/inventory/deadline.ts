// An end for work that can't be cancelled, such as a read from a disk that hangs.

/** Waits for the work or the time. @returns true when the time was up first; what the work throws is thrown */
export async function withDeadline(work: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<true>((resolve) => {
    timer = setTimeout(() => resolve(true), ms);
  });
  // Once nobody waits any more, a failure has no one to tell.
  work.catch(() => {});
  try {
    return await Promise.race([work.then((): boolean => false), late]);
  } finally {
    clearTimeout(timer);
  }
}
