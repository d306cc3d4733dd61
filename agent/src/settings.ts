// Command line options over kernel command line words.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { CheckInSettings } from './check-in.ts';
import { type BootWords, readBootWords, readEndpoint, readMac } from './cmdline.ts';
import type { FetchSettings } from './fleet/run.ts';

export interface Settings {
  readonly controllers: readonly string[];
  readonly fingerprint: string;
  readonly token: string;
  readonly mac: string | undefined;
  readonly bootMac: string | undefined;
  readonly refused: 'reboot' | 'wait';
  /** Where /proc, /sys, /dev, /etc and /root are looked for. */
  readonly root: string;
  readonly sshHostKeyFile: string;
  readonly authorizedKeysFile: string;
  /** Root's own settings of nix. */
  readonly nixConfFile: string;
  readonly stateFolder: string;
  /** How long another certificate or a refused token is watched before a reboot. */
  readonly patienceMs: number;
  /** How long carriers of cards that were down are waited for; 0: they stay down. */
  readonly linksUpMs: number;
}

export type Command =
  | { readonly kind: 'run'; readonly settings: Settings; readonly notes: readonly string[] }
  | { readonly kind: 'inventory'; readonly root: string; readonly linksUpMs: number }
  | { readonly kind: 'record'; readonly folder: string }
  | { readonly kind: 'check-in'; readonly settings: CheckInSettings }
  | { readonly kind: 'fetch'; readonly settings: FetchSettings }
  | { readonly kind: 'help' | 'version' };

export class UsageError extends Error {
  override name = 'UsageError';
}

export const helpText = `nixie-agent: tells the controller about this machine and does what it says.

Without options everything comes from the kernel command line (nixie.controller=, nixie.fingerprint=, nixie.token=, nixie.mac=).

  nixie-agent                      run until the machine is rebooted
  nixie-agent --inventory          print what this machine is made of, as JSON (inventory.schema.json); with --root DIR a recorded machine
  nixie-agent --record DIR         write the files and outputs that an inventory is made from into an empty folder; serial numbers,
                                   addresses and disk labels are in them
  nixie-agent --check-in --controller IP:PORT[,…] --fingerprint HEX [--host NAME]
                                   an installed system tells the controller that it has booted, signed by its SSH host key
  nixie-agent --fetch FILE [--serve]
                                   get the large part of the installer (nixie.image=) from other machines and the controller; FILE is
                                   there when it is whole and checked. With --serve: go on, and hand it to others
  nixie-agent --help | --version

Options override the kernel's words:
  --controller IP:PORT[,…]         controller, in order of preference
  --fingerprint HEX                SHA-256 of the controller's certificate
  --token HEX                      one-time token of this boot
  --mac MAC                        the address the boot script was made for
  --cmdline FILE                   kernel command line (default /proc/cmdline)
  --root DIR                       look for /proc, /sys, /dev, /etc below DIR; nothing of the machine itself is then touched
  --ssh-host-key FILE              public half of the host key (default /etc/ssh/ssh_host_ed25519_key.pub); private half for --check-in
  --host NAME                      its name in the hosts file, for --check-in (default: its host name)
  --authorized-keys FILE           where the run's keys go (default /root/.ssh/authorized_keys)
  --nix-conf FILE                  nix settings that name the controller's binary cache (default /root/.config/nix/nix.conf)
  --state DIR                      key and credential of this boot (default /run/nixie-agent)
  --image HEX                      SHA-256 of the image's manifest, for --fetch
  --door IP:PORT[,…]               HTTP of the controller, for --fetch (default: the controller's address, port 7480)
  --chunks DIR                     chunks of the image that are here already, in files named after their SHA-256; --fetch moves them into FILE
  --peer-port PORT                 where --fetch serves other machines (default 7483, or any when that is taken)
  --upload-limit MB                most that --fetch sends to other machines, megabytes a second (default: no limit)
  --refused reboot|wait            when the token stays refused (default reboot, after --patience)
  --patience SECONDS               time before such a reboot (default 600)
  --links-up SECONDS               bring up network cards that are down and that nobody uses, to read their carrier, speed and
                                   neighbour, and wait so long for carriers (default 5, with --inventory 0; 0: leave them alone)
`;

/**
 * @param args without the program's name
 * @throws UsageError naming the option or word, what was found and what is accepted
 */
export function readCommand(args: readonly string[]): Command {
  let values: Partial<Record<string, string | boolean>>;
  try {
    ({ values } = parseArgs({
      args: [...args],
      allowPositionals: false,
      options: {
        controller: { type: 'string' },
        fingerprint: { type: 'string' },
        token: { type: 'string' },
        mac: { type: 'string' },
        cmdline: { type: 'string' },
        root: { type: 'string' },
        'ssh-host-key': { type: 'string' },
        'authorized-keys': { type: 'string' },
        'nix-conf': { type: 'string' },
        state: { type: 'string' },
        refused: { type: 'string' },
        patience: { type: 'string' },
        'links-up': { type: 'string' },
        inventory: { type: 'boolean' },
        record: { type: 'string' },
        'check-in': { type: 'boolean' },
        fetch: { type: 'string' },
        serve: { type: 'boolean' },
        image: { type: 'string' },
        door: { type: 'string' },
        chunks: { type: 'string' },
        'peer-port': { type: 'string' },
        'upload-limit': { type: 'string' },
        host: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean', short: 'V' },
      },
    }));
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  if (values.help) return { kind: 'help' };
  if (values.version) return { kind: 'version' };
  const text = (name: string): string | undefined => values[name] as string | undefined;
  const root = text('root') ?? '/';
  const folder = text('record');
  if (folder === '') throw new UsageError('--record: found nothing, want a folder');
  if (folder !== undefined && root !== '/')
    throw new UsageError('--record: found --root as well, want one of them: only a machine itself can be recorded');
  if (folder !== undefined) return { kind: 'record', folder };

  const check = (name: string, value: string | undefined, good: (value: string) => boolean, want: string): void => {
    if (value !== undefined && !good(value))
      throw new UsageError(`--${name}: found ${JSON.stringify(value)}, want ${want}`);
  };
  check('links-up', text('links-up'), (number) => /^\d{1,2}$/.test(number), 'seconds, at most 99');
  const linksUpMs = (otherwise: number): number => Number(text('links-up') ?? otherwise) * 1000;
  if (values.inventory) return { kind: 'inventory', root, linksUpMs: linksUpMs(0) };
  const given = text('controller')?.split(',').filter(Boolean);
  check('controller', text('controller'), () => !!given?.length && given.every((to) => readEndpoint(to)), 'IP:PORT');
  const fingerprint = text('fingerprint')?.toLowerCase().replace(/:/g, '');
  check('fingerprint', fingerprint, (hex) => /^[0-9a-f]{64}$/.test(hex), '64 hex digits');
  if (values['check-in']) {
    const host = text('host') ?? hostName(root);
    check('host', host, (name) => /^[A-Za-z0-9_.-]{1,64}$/.test(name), 'the name of a host in the hosts file');
    if (given === undefined || fingerprint === undefined || host === undefined)
      throw new UsageError('--check-in: want --controller IP:PORT, --fingerprint HEX and --host NAME as well');
    const sshHostKeyFile = text('ssh-host-key') ?? join(root, 'etc/ssh/ssh_host_ed25519_key');
    return { kind: 'check-in', settings: { controllers: given, fingerprint, host, root, sshHostKeyFile } };
  }

  const cmdline = text('cmdline') ?? join(root, 'proc/cmdline');
  let line = '';
  try {
    line = readFileSync(cmdline, 'utf8');
  } catch (error) {
    if (text('cmdline')) throw new UsageError(`read --cmdline: ${(error as Error).message}`);
  }
  const words = readBootWords(line);
  if (values.fetch !== undefined) return fetchCommand(values, words, cmdline, check);
  check('token', text('token'), (hex) => /^[0-9a-f]{32}$/.test(hex), '32 hex digits');
  check('mac', text('mac'), (mac) => readMac(mac) !== undefined, 'aa:bb:cc:dd:ee:ff');
  check('refused', text('refused'), (word) => word === 'reboot' || word === 'wait', 'reboot or wait');
  check('patience', text('patience'), (number) => /^\d{1,6}$/.test(number), 'seconds');

  const problems = words.problems.length > 0 ? ` (${words.problems.join('; ')})` : '';
  const need = <T>(value: T | undefined, name: string): T => {
    if (value === undefined)
      throw new UsageError(
        `no --${name}, and ${cmdline} has no usable nixie.${name}=${problems}: was this machine started by Nixie's boot script?`,
      );
    return value;
  };
  const controllers = given ?? (words.controllers.length > 0 ? words.controllers : undefined);
  return {
    kind: 'run',
    notes: words.problems,
    settings: {
      controllers: need(controllers, 'controller'),
      fingerprint: need(fingerprint ?? words.fingerprint, 'fingerprint'),
      token: need(text('token') ?? words.token, 'token'),
      mac: text('mac') ? readMac(text('mac')!) : (words.mac ?? words.bootMac),
      bootMac: words.bootMac ?? words.mac,
      refused: (text('refused') as 'reboot' | 'wait' | undefined) ?? words.refused ?? 'reboot',
      root,
      sshHostKeyFile: text('ssh-host-key') ?? join(root, 'etc/ssh/ssh_host_ed25519_key.pub'),
      authorizedKeysFile: text('authorized-keys') ?? join(root, 'root/.ssh/authorized_keys'),
      nixConfFile: text('nix-conf') ?? join(root, 'root/.config/nix/nix.conf'),
      stateFolder: text('state') ?? join(root, 'run/nixie-agent'),
      patienceMs: Number(text('patience') ?? 600) * 1000,
      linksUpMs: linksUpMs(5),
    },
  };
}

/** All comes from the kernel's command line, whose manifest hash is what is trusted. */
function fetchCommand(
  values: Partial<Record<string, string | boolean>>,
  words: BootWords,
  cmdline: string,
  check: (name: string, value: string | undefined, good: (value: string) => boolean, want: string) => void,
): Command {
  const text = (name: string): string | undefined => values[name] as string | undefined;
  const file = text('fetch')!;
  check('fetch', file, (path) => path !== '', 'a file');
  const number = /^[1-9]\d{0,5}$/;
  check('image', text('image'), (hex) => /^[0-9a-f]{64}$/.test(hex), '64 hex digits');
  check('peer-port', text('peer-port'), (port) => number.test(port) && Number(port) < 65_536, 'a port');
  check('upload-limit', text('upload-limit'), (rate) => number.test(rate), 'megabytes a second');
  check('patience', text('patience'), (seconds) => /^\d{1,6}$/.test(seconds), 'seconds');
  const given = text('door')?.split(',').filter(Boolean);
  check('door', text('door'), () => !!given?.length && given.every((to) => readEndpoint(to)), 'IP:PORT');
  // The same addresses; the port there is that of the agents.
  const doors = given ?? words.controllers.map((each) => hostOf(readEndpoint(each)!.host));
  const manifestSha256 = text('image') ?? words.image;
  if (manifestSha256 === undefined || doors.length === 0)
    throw new UsageError(
      `--fetch: ${cmdline} has no usable ${manifestSha256 === undefined ? 'nixie.image' : 'nixie.controller'}=: was this machine started by a boot script of an installer with an image?`,
    );
  return {
    kind: 'fetch',
    settings: {
      file,
      doors,
      manifestSha256,
      serve: values.serve === true,
      giveUpMs: Number(text('patience') ?? 600) * 1000,
      ...(values.chunks === undefined ? {} : { chunks: text('chunks')! }),
      ...(values['peer-port'] === undefined ? {} : { port: Number(values['peer-port']) }),
      ...(values['upload-limit'] === undefined ? {} : { uploadBytesPerSecond: Number(values['upload-limit']) * 1e6 }),
    },
  };
}

const hostOf = (host: string): string => (host.includes(':') ? `[${host}]` : host);

function hostName(root: string): string | undefined {
  try {
    return readFileSync(join(root, 'proc/sys/kernel/hostname'), 'utf8').trim();
  } catch {
    return undefined;
  }
}
