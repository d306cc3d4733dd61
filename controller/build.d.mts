/** See build.mjs. */
export function buildController(outDir?: string): string;
