// Waits of the real clock. Both can be called off; neither outlives what it waits for.

/** Calls back once, for a time that has passed soon; the result calls it off. */
export function after(milliseconds: number, call: () => void): () => void {
  const timer = setTimeout(call, Math.min(Math.max(milliseconds, 0), 0x7fff_ffff));
  return () => clearTimeout(timer);
}

/** Resolves after so many milliseconds, or at the signal. */
export function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const end = () => {
      off();
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const off = after(milliseconds, end);
    signal?.addEventListener('abort', end, { once: true });
  });
}
