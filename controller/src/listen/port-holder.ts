// Finds the process that holds a port. The tables of the kernel name a socket by its inode, and each process's descriptors name the inode.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { PortHolder } from './errors.ts';

/** What is read; each member returns nothing rather than throwing when a process ends meanwhile or may not be looked at. */
export interface ProcReader {
  /** Contents of a file under /proc, '' when it can't be read. */
  text(path: string): string;
  /** Names in a folder under /proc, none when it can't be read. */
  names(path: string): readonly string[];
  /** Where a symbolic link points to, '' when it can't be read. */
  link(path: string): string;
}

/**
 * Inodes of the sockets bound to a port in a table of the form of /proc/net/udp or /proc/net/tcp.
 * `local_address` is hexadecimal ADDRESS:PORT; the inode is the tenth field. Of TCP only listening sockets (state 0A) count.
 */
export function inodesOfPort(table: string, port: number, protocol: 'udp' | 'tcp'): string[] {
  const inodes: string[] = [];
  for (const line of table.split('\n')) {
    const fields = line.trim().split(/\s+/);
    const local = fields[1];
    const inode = fields[9];
    if (local === undefined || inode === undefined || !/^[0-9A-F]+:[0-9A-F]{4}$/.test(local)) continue;
    if (Number.parseInt(local.slice(local.indexOf(':') + 1), 16) !== port) continue;
    if (protocol === 'tcp' && fields[3] !== '0A') continue;
    if (inode !== '0') inodes.push(inode);
  }
  return inodes;
}

/** The process that holds a port of this network namespace; undefined when none can be seen. */
export function portHolder(port: number, protocol: 'udp' | 'tcp', proc: ProcReader = readProc): PortHolder | undefined {
  const wanted = new Set<string>();
  for (const version of ['', '6']) {
    for (const inode of inodesOfPort(proc.text(`/proc/self/net/${protocol}${version}`), port, protocol)) {
      wanted.add(`socket:[${inode}]`);
    }
  }
  if (wanted.size === 0) return undefined;
  for (const name of proc.names('/proc')) {
    if (!/^[0-9]+$/.test(name)) continue;
    for (const fd of proc.names(`/proc/${name}/fd`)) {
      if (!wanted.has(proc.link(`/proc/${name}/fd/${fd}`))) continue;
      return { pid: Number(name), process: programName(proc, name) };
    }
  }
  return undefined;
}

/** The program as it was called, as some (Node among them) give their threads other names; else the name the kernel has. */
function programName(proc: ProcReader, pid: string): string {
  const called = proc.text(`/proc/${pid}/cmdline`).split('\0', 1)[0]!;
  const name = called.slice(called.lastIndexOf('/') + 1) || proc.text(`/proc/${pid}/comm`).trim();
  return name.replace(/[^\x21-\x7e]/g, '?') || 'unnamed';
}

function orElse<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch {
    return otherwise;
  }
}

export const readProc: ProcReader = {
  text: (path) => orElse(() => readFileSync(path, 'utf8'), ''),
  names: (path) => orElse(() => readdirSync(path), []),
  link: (path) => orElse(() => readlinkSync(path), ''),
};
