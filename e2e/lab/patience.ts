// How long tests wait for what must come. A wait ends when it has come, so all this costs is time where it never does.

/** Milliseconds: what takes a second or two on an idle computer with two cores takes many times that on a slow one with other tests beside it. */
export const patienceMs = 60_000;

/** Looks again and again until it holds. @throws when it doesn't in all that time, naming what was awaited */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  more: () => string = () => '',
  withinMs = patienceMs,
): Promise<void> {
  const end = performance.now() + withinMs;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`waited ${withinMs} ms for: ${what}\n${more()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
