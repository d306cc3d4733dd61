// libuv's threads: a disk that hangs keeps one of them for good, and by default there are only four, which all reading of files shares.

/** Takes effect only before the first of them is started: called before anything else, in the process itself and not while it is packed. */
export function wantMoreThreads(env: NodeJS.ProcessEnv): void {
  env.UV_THREADPOOL_SIZE ??= '32';
}
