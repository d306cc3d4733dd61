/** See commit.js. */
export function checkedOutCommit(root: string): string;
