/** See build.mjs. */
export function buildAgent(options?: {
  outDir?: string;
  force?: boolean;
  base?: string;
  program?: string;
  commit?: string;
}): Promise<{
  path: string;
  /** False when an up-to-date one was there. */
  built: boolean;
  bytes: number;
  /** Of the inputs: equal inputs give an equal executable. */
  sha256: string;
}>;
/** The agent as one JavaScript file (CommonJS). */
export function bundleAgent(commit?: string): Buffer;
