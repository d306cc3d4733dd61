// `nixie serve` on a LAN of namespaces without any machine of firmware: a toy flake, a nix store of its own, and stations that are hosts.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from './child.ts';
import { findProgram } from './need.ts';
import { lan, makeNetwork, type Network } from './net.ts';
import { type NixieRun, startNixie } from './nixie-run.ts';
import { writeToyFlake } from './toy-flake.ts';

export interface ToyService {
  readonly net: Network;
  readonly folder: string;
  readonly state: string;
  /** Replaces the hosts file; `serve` reads it when it is told to. */
  writeHosts(hosts: object | string): void;
  start(...more: string[]): NixieRun;
  /** `nixie` with words of its own, besides the flake's installer and the LAN. */
  startWith(...words: string[]): NixieRun;
  /** One of the operator's commands, outside of every namespace: standard output and error, and the exit status. */
  command(...words: string[]): Promise<{ out: string; err: string; code: number | null }>;
  /** A namespace with one card on the LAN. */
  plugIn(name: string, mac: string, address?: string): Promise<string>;
  close(): Promise<void>;
}

const nixie = fileURLToPath(new URL('../../controller/bin/nixie.js', import.meta.url));
const standIn = fileURLToPath(new URL('./nixos-anywhere/nixos-anywhere', import.meta.url));
const inStore = 'mount --make-rprivate /; mkdir -p /nix; mount --bind "$BOX/nix" /nix; exec "$@"';

export async function makeToyService(configurations: string): Promise<ToyService> {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-serve-'));
  const net = await makeNetwork();
  for (const name of ['nix', 'conf', 'home']) mkdirSync(join(folder, name));
  const settings = 'sandbox = false\nbuild-users-group =\nsubstituters =\nflake-registry =\n';
  writeFileSync(join(folder, 'conf/nix.conf'), settings);
  writeToyFlake(join(folder, 'flake'), { busybox: findProgram('busybox')!, configurations });
  const flake = `path:${join(folder, 'flake')}`;
  const state = join(folder, 'state');
  const hostsFile = join(folder, 'hosts.json');
  const stations: string[] = [];
  const runs: NixieRun[] = [];
  const startWith = (...given: string[]): NixieRun => {
    const words = [...given, '--installer', `${flake}#nixosConfigurations.installer`, '--state', state];
    words.push('--interface', 'eth0', '--dhcp', `range=${lan.prefix}.100-${lan.prefix}.199`, '--json');
    const env = { BOX: folder, HOME: join(folder, 'home'), NIX_CONF_DIR: join(folder, 'conf') };
    const nix = (argv: readonly string[]) => ({
      argv: ['unshare', '--mount', 'sh', '-ec', inStore, 'sh', ...argv],
      env,
    });
    const started = startNixie(net, words, { nix, deadlineMs: 900_000 });
    runs.push(started);
    return started;
  };
  return {
    net,
    folder,
    state,
    writeHosts: (hosts) => writeFileSync(hostsFile, typeof hosts === 'string' ? hosts : JSON.stringify(hosts)),
    start: (...more) =>
      startWith('serve', '--flake', flake, '--hosts', hostsFile, '--nixos-anywhere', standIn, ...more),
    startWith,
    async command(...words) {
      const argv = [process.execPath, nixie, ...words, '--state', state];
      const { stdout, stderr, code } = await run(argv, { accept: true });
      return { out: stdout, err: stderr, code };
    },
    async plugIn(name, mac, address) {
      const station = `${net.id}-${name}`;
      await run(['ip', 'netns', 'add', station]);
      stations.push(station);
      const lines = [
        `link add name c-${name} type veth peer name eth0 address ${mac} netns ${station}`,
        `link set c-${name} master br0 up`,
      ];
      await run(['ip', '-n', net.lan, '-batch', '-'], { input: `${lines.join('\n')}\n` });
      await run(['ip', '-n', station, 'link', 'set', 'eth0', 'up']);
      if (address !== undefined)
        await run(['ip', '-n', station, 'addr', 'add', `${address}/${lan.length}`, 'dev', 'eth0']);
      return station;
    },
    async close() {
      await Promise.all(runs.map((each) => each.stop()));
      for (const station of stations) await run(['ip', 'netns', 'del', station], { accept: true });
      await net.close();
      await run(['chmod', '-R', 'u+w', folder], { accept: true });
      rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
    },
  };
}
