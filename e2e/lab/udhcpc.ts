// busybox's udhcpc, kept running, as a client that is given an address and renews it.
import { start } from './child.ts';
import { until } from './patience.ts';

export interface DhcpClient {
  /** The line that its script said with this word in front (`bound`, `renew`), once it has. @throws when it doesn't come, with all that was said */
  said(word: string): Promise<string>;
  /** Has it ask for its address again. */
  renew(): void;
  stop(): Promise<unknown>;
}

/** @param argv udhcpc in the foreground (`-f`), in its namespace, with a script that says the word it is called with, and more */
export function startDhcpClient(argv: string[]): DhcpClient {
  const lines: string[] = [];
  const child = start(argv, {
    deadlineMs: 300_000,
    onLine: (line, from) => from === 'out' && lines.push(line),
  });
  return {
    async said(word) {
      const line = () => lines.find((each) => each.startsWith(`${word} `));
      await until(
        word,
        () => line() !== undefined,
        () => lines.join(' | '),
      );
      return line()!;
    },
    renew: () => void child.signal('SIGUSR1'),
    stop: () => child.stop(),
  };
}
