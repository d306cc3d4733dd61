// The TFTP servers that are compared, with the settings that let each of them do its best.
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../lab/child.ts';
import { findProgram } from '../lab/need.ts';
import { type Rig, type Served, serveNixie, serverAddress } from './rig.ts';
import type { BootSettings } from './serve.ts';

export const tftpServers = ['nixie', 'tftpd-hpa', 'atftpd', 'dnsmasq'] as const;
export type TftpServer = (typeof tftpServers)[number];

/** Beside each result. */
export const tftpSettings =
  'tftpd-hpa: --listen --secure; atftpd: --maxthread 2000; dnsmasq: --tftp-max=2000; all: 69 alone, no log of transfers';

/** The one that can't be installed beside tftpd-hpa: its package is unpacked into `folder`. Undefined: it can't be had. */
export async function bringAtftpd(folder: string): Promise<string | undefined> {
  const installed = findProgram('atftpd');
  if (installed !== undefined) return installed;
  const place = join(folder, 'atftpd');
  const program = join(place, 'usr/sbin/atftpd');
  if (existsSync(program)) return program;
  mkdirSync(place, { recursive: true });
  const download = ['apt-get', '-o', 'APT::Sandbox::User=root', 'download', 'atftpd'];
  if ((await run(download, { cwd: place, accept: true, deadlineMs: 120_000 })).code !== 0) return undefined;
  await run(['sh', '-c', 'dpkg-deb -x atftpd_*.deb .'], { cwd: place });
  return existsSync(program) ? program : undefined;
}

/** Serves the files of `folder` in the rig's server namespace on `device`. */
export async function serveTftp(
  rig: Rig,
  who: TftpServer,
  folder: string,
  { device = 'eth0', atftpd = 'atftpd' }: { device?: string; atftpd?: string } = {},
): Promise<Served> {
  switch (who) {
    case 'nixie': {
      const files = { file: join(folder, 'file') };
      return serveNixie(rig, 'boot', { device, address: serverAddress, macs: [], files } satisfies BootSettings);
    }
    case 'tftpd-hpa':
      return rig.serve([
        ...['in.tftpd', '--foreground', '--listen', '--user', 'root', '--address', `${serverAddress}:69`],
        ...['--secure', folder],
      ]);
    case 'atftpd':
      return rig.serve([
        ...[atftpd, '--daemon', '--no-fork', '--user', 'root.root', '--maxthread', '2000', '--verbose=0'],
        ...['--logfile', '/dev/null', '--bind-address', serverAddress, folder],
      ]);
    case 'dnsmasq':
      return rig.serve([
        ...['dnsmasq', '--keep-in-foreground', '--conf-file=/dev/null', '--port=0', '--user=root', '--pid-file='],
        ...['--enable-tftp', `--tftp-root=${folder}`, '--tftp-max=2000', '--quiet-tftp', '--bind-interfaces'],
        ...[`--interface=${device}`, '--log-facility=/dev/null'],
      ]);
  }
}
