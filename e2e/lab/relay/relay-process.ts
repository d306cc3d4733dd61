// The real `nixie relay` in a namespace, with a token of its own.
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { joinTokenText } from '../../../controller/src/machine/relay.ts';
import { keepRelayToken } from '../../../controller/src/store/relays.ts';
import { loadTls } from '../../../controller/src/store/tls.ts';
import { type Child, type Exit, start } from '../child.ts';
import { patienceMs } from '../patience.ts';
import { uplink } from './subnets.ts';

const program = join(import.meta.dirname, '../../../controller/src/bin/nixie.ts');

/** A file with a join token for the controller of this state folder. */
export async function makeToken(stateDir: string, name: string): Promise<string> {
  const { fingerprint } = await loadTls(stateDir);
  const secret = randomBytes(32);
  const url = `https://${uplink.controller}`;
  keepRelayToken(stateDir, { name, url, madeAt: Date.now() }, secret);
  const file = join(stateDir, `${name}.token`);
  writeFileSync(file, `${joinTokenText({ name, url, fingerprint, secret })}\n`, { mode: 0o600 });
  return file;
}

export interface RelayProcess {
  readonly child: Child;
  readonly lines: Record<string, unknown>[];
  /** What it said otherwise. */
  readonly errors: string[];
  /** Waits for a line of its log that has all of this; lines before the last such wait don't count. */
  logged(what: Readonly<Record<string, unknown>>, withinMs?: number): Promise<Record<string, unknown>>;
  stop(): Promise<Exit>;
}

export function startRelay(
  inside: (argv: readonly string[]) => string[],
  options: readonly string[],
  deadlineMs = 1_800_000,
): RelayProcess {
  const lines: Record<string, unknown>[] = [];
  const errors: string[] = [];
  let from = 0;
  const child = start(inside([process.execPath, program, 'relay', '--json', ...options]), {
    deadlineMs,
    onLine: (line, stream) => {
      if (stream === 'out' && line.startsWith('{')) lines.push(JSON.parse(line) as Record<string, unknown>);
      else errors.push(line);
    },
  });
  return {
    child,
    lines,
    errors,
    async logged(what, withinMs = patienceMs) {
      const end = performance.now() + withinMs;
      for (;;) {
        const at = lines.findIndex(
          (line, index) => index >= from && Object.entries(what).every(([key, value]) => line[key] === value),
        );
        if (at >= 0) {
          from = at + 1;
          return lines[at]!;
        }
        if (performance.now() > end)
          throw new Error(
            `the relay never logged ${JSON.stringify(what)}: ${lines
              .slice(-5)
              .map((line) => JSON.stringify(line))
              .join(' | ')} ${errors.slice(-5).join(' | ')}`,
          );
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    stop: () => child.stop(patienceMs),
  };
}
