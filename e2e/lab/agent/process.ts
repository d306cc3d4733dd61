// A real agent process that looks at a tree of its own instead of at this machine.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const repository = join(import.meta.dirname, '../../..');

export interface Tree {
  readonly root: string;
  put(path: string, text: string): void;
  remove(): void;
}

/** The few files without which an agent doesn't start. */
export function makeTree(): Tree {
  const root = mkdtempSync(join(tmpdir(), 'nixie-agent-'));
  const put = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  put('proc/sys/kernel/random/boot_id', `${crypto.randomUUID()}\n`);
  put('proc/uptime', '12.34 10.00\n');
  put('proc/meminfo', 'MemTotal:        2048 kB\nMemAvailable:    1024 kB\n');
  put('proc/mounts', 'tmpfs / tmpfs rw 0 0\n');
  put(
    'etc/ssh/ssh_host_ed25519_key.pub',
    'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKuPQ0oVJ1Q1t2xMPn0b4b9q0yS8y3C4H2Jq0e2S4m1R root@installer\n',
  );
  return { root, put, remove: () => rmSync(root, { recursive: true, force: true }) };
}

export interface AgentProcess {
  readonly child: ChildProcess;
  readonly stderr: () => string;
  /** Resident memory in bytes, from /proc. */
  readonly residentBytes: () => number;
  /** Resolves with the exit status, or the signal's name. */
  readonly ended: Promise<number | string>;
  stop(): Promise<void>;
}

/** @param program the executable's path, or nothing for the sources */
export function startAgent(args: readonly string[], program?: string): AgentProcess {
  const argv = program ? [program] : [process.execPath, join(repository, 'agent/src/main.ts')];
  const child = spawn(argv[0]!, [...argv.slice(1), ...args], { detached: true, stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk;
  });
  // Not `exit`, which may come before its last words.
  const ended = new Promise<number | string>((resolve) =>
    child.once('close', (code, signal) => resolve(code ?? signal!)),
  );
  return {
    child,
    stderr: () => stderr,
    residentBytes: () => {
      const status = process.getBuiltinModule('node:fs').readFileSync(`/proc/${child.pid}/status`, 'utf8');
      return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024;
    },
    ended,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGTERM');
      const late = setTimeout(() => process.kill(-child.pid!, 'SIGKILL'), 5000);
      await ended;
      clearTimeout(late);
    },
  };
}
