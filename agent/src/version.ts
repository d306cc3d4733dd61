/** The version the agent reports; equal to the one in package.json. */
export const agentVersion = '0.1.0';

// put in by whoever makes a release or a package; a checkout's own agent is the same file from commit to commit
declare const NIXIE_COMMIT: string;

/** The commit that it was made of; empty in a checkout. */
export const agentCommit = typeof NIXIE_COMMIT === 'string' ? NIXIE_COMMIT : '';

/** What `--version` prints. @param commit empty: unknown */
export function versionLine(commit: string, node: string): string {
  return `nixie-agent ${agentVersion} (${commit === '' ? '' : `commit ${commit.slice(0, 12)}, `}node ${node})`;
}
