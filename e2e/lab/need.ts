// What a scenario needs from this computer. Where it is missing the scenario is skipped with a reason, or fails when NIXIE_E2E=require: a
// check-in must not pass because a tool was away.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { accessSync, constants, existsSync } from 'node:fs';
import { freemem } from 'node:os';
import { delimiter, join } from 'node:path';

/** Undefined: it is there. Otherwise a sentence that says what is missing. */
export type Need = () => string | undefined;

export const needRoot: Need = () =>
  process.getuid?.() === 0 ? undefined : 'needs root: namespaces, taps and ports below 1024';

function inScratchNamespace(lines: (name: string) => string[][]): string | undefined {
  const name = `nxneed-${process.pid}-${randomBytes(3).toString('hex')}`;
  const ip = (args: string[]): void => {
    execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'], timeout: 60_000 });
  };
  try {
    ip(['netns', 'add', name]);
  } catch (error) {
    return `ip netns add does not work: ${firstLine(error)}`;
  }
  try {
    for (const args of lines(name)) ip(args);
    return undefined;
  } catch (error) {
    return firstLine(error);
  } finally {
    try {
      ip(['netns', 'del', name]);
    } catch {
      // it stays behind, empty
    }
  }
}

function firstLine(error: unknown): string {
  const stderr = (error as { stderr?: Buffer }).stderr?.toString().trim();
  return (stderr === undefined || stderr === '' ? String(error) : stderr).split('\n')[0] ?? '';
}

export const needNetns: Need = () => needRoot() ?? inScratchNamespace(() => []);

/** The device file proves nothing: a tap is really made. */
export const needTap: Need = () => {
  const why =
    needRoot() ?? inScratchNamespace((name) => [['-n', name, 'tuntap', 'add', 'name', 'tap0', 'mode', 'tap']]);
  return why === undefined ? undefined : `no tap device can be made: ${why}`;
};

export function findProgram(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

export function needPrograms(names: readonly string[]): Need {
  return () => {
    const missing = names.filter((name) => findProgram(name) === undefined);
    return missing.length === 0 ? undefined : `missing programs: ${missing.join(', ')}`;
  };
}

export function needFiles(paths: readonly string[]): Need {
  return () => {
    const missing = paths.filter((path) => !existsSync(path));
    return missing.length === 0 ? undefined : `missing files: ${missing.join(', ')}`;
  };
}

export function needMemory(mebibytes: number): Need {
  return () =>
    freemem() >= mebibytes * 1024 * 1024
      ? undefined
      : `needs ${mebibytes} MiB of free memory, ${Math.round(freemem() / 1048576)} are there`;
}

/** All that a machine with real firmware on a LAN of namespaces needs. */
export const firmwareLab: readonly Need[] = [
  needTap,
  needPrograms(['qemu-system-x86_64', 'qemu-img', 'dnsmasq', 'tcpdump', 'setpriv', 'timeout']),
  needFiles([
    '/usr/share/OVMF/OVMF_CODE_4M.fd',
    '/usr/share/OVMF/OVMF_VARS_4M.fd',
    '/usr/lib/ipxe/snponly.efi',
    '/usr/lib/ipxe/undionly.kpxe',
  ]),
  needMemory(2048),
];

/** For `test(name, { skip: skipUnless(...) }, …)`: false when all is there. Throws instead of skipping under NIXIE_E2E=require. */
export function skipUnless(...needs: readonly Need[]): string | false {
  const why = needs.map((need) => need()).find((reason) => reason !== undefined);
  if (why === undefined) return false;
  if (process.env.NIXIE_E2E === 'require') throw new Error(`NIXIE_E2E=require and this can't run here: ${why}`);
  return why;
}
