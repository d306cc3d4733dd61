// Asks the operator for secrets, once, before the run: the echo is off, and nothing of an answer is shown.
import { ConfigError } from '../config/problem.ts';
import { secretsOf } from '../install/secrets.ts';
import type { Host } from '../machine/host.ts';

/** The controlling terminal, in raw mode. */
export interface Terminal {
  write(text: string): void;
  /** The next bytes that were typed; undefined at its end. */
  read(): Promise<Uint8Array | undefined>;
  /** Leaves it as it was. */
  close(): void;
}

/** The operator pressed Ctrl-C. */
export class Interrupted extends Error {
  override name = 'Interrupted';
}

/**
 * The answers, by `secretName`. Opens no terminal when there is nothing to ask.
 * @param open undefined: there is no terminal
 * @throws ConfigError when there is no terminal, or it ended; Interrupted
 */
export async function askSecrets(
  hosts: readonly Host[],
  open: () => Terminal | undefined,
): Promise<ReadonlyMap<string, Buffer>> {
  const answers = new Map<string, Buffer>();
  const questions = hosts.flatMap(secretsOf).filter(({ source }) => source.kind === 'prompt');
  if (questions.length === 0) return answers;
  const cannot = (why: string) =>
    new ConfigError(
      questions.map(({ name }) => ({
        where: name,
        text: `its source is "prompt", but ${why}; accepted without one: "file:PATH", "command:PROGRAM ARGUMENT…" or "env:NAME"`,
      })),
    );
  const terminal = open();
  if (terminal === undefined) throw cannot('there is no terminal to ask on');
  const typed = lines();
  try {
    for (const { name } of questions) {
      terminal.write(`${name}: `);
      let answer = typed.next();
      while (answer === undefined) {
        const bytes = await terminal.read();
        if (bytes === undefined) throw cannot('the terminal ended before the answer');
        if (typed.push(bytes) === 'interrupted') throw new Interrupted('interrupted while asking for secrets');
        answer = typed.next();
      }
      terminal.write('\n');
      answers.set(name, answer);
    }
  } finally {
    terminal.close();
  }
  return answers;
}

const longestLine = 64 * 1024;

/** Bytes of a terminal in raw mode → lines, with the keys that a terminal itself would have understood. */
export function lines(): { push(bytes: Uint8Array): 'interrupted' | undefined; next(): Buffer | undefined } {
  let line: number[] = [];
  const done: Buffer[] = [];
  return {
    push(bytes) {
      for (const byte of bytes) {
        if (byte === 0x03) return 'interrupted';
        if (byte === 0x0d || byte === 0x0a) {
          done.push(Buffer.from(line));
          line = [];
        } else if (byte === 0x7f || byte === 0x08) {
          // A character of several bytes goes as a whole.
          while (line.length > 0 && (line.pop()! & 0xc0) === 0x80);
        } else if (byte === 0x15) line = [];
        else if (line.length < longestLine) line.push(byte);
      }
      return undefined;
    },
    next: () => done.shift(),
  };
}
