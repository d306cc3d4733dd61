// Imported before everything else: a disk that hangs keeps one of libuv's threads for good, and by default there are only four, which
// all reading of files shares. Takes effect only before the first of them is started.
process.env.UV_THREADPOOL_SIZE ??= '32';
