// The second subnet as a site of its own: a real `nixie relay` between it and the controller, and the wire between the two, which can be cut,
// shaped and counted.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../child.ts';
import { lan, lan2, type Network } from '../net.ts';
import { type RelayProcess, startRelay } from './relay-process.ts';

const program = fileURLToPath(new URL('../../../controller/bin/nixie.js', import.meta.url));
/** The relay's card towards the controller. */
const uplinkCard = 'lan1';

export interface Site {
  /** The relay's. */
  readonly name: string;
  /** Where it keeps what it keeps. */
  readonly stateFolder: string;
  readonly tokenFile: string;
  /** The last one started. */
  readonly process: RelayProcess;
  /** Makes the token by the real command, and starts the relay; again: with the same token and state. `more` are further options. */
  start(more?: readonly string[]): Promise<RelayProcess>;
  /** Nothing crosses the uplink any more, and nobody is told. */
  cut(is: boolean): Promise<void>;
  /** Of the uplink, into the site and out of it, all that was on the wire. */
  uplinkBytes(): Promise<{ readonly down: number; readonly up: number }>;
  tail(lines: number): string;
  close(): Promise<void>;
}

export interface SiteOptions {
  readonly folder: string;
  /** The controller's. */
  readonly stateFolder: string;
  readonly deadlineMs: number;
  readonly name?: string;
}

export function makeSite(net: Network, { folder, stateFolder, deadlineMs, name = 'rack7' }: SiteOptions): Site {
  const state = join(folder, `relay-${name}`);
  const tokenFile = join(folder, `${name}.token`);
  const processes: RelayProcess[] = [];
  const inside = (argv: readonly string[]) => net.inside(net.rt!, argv);
  let made = false;
  const last = (): RelayProcess => {
    const found = processes.at(-1);
    if (found === undefined) throw new Error('the relay was not started');
    return found;
  };
  return {
    name,
    stateFolder: state,
    tokenFile,
    get process() {
      return last();
    },
    async start(more = []) {
      if (!made) {
        const words = ['relay-token', name, '--url', `https://${lan.nixie}:7482`, '--out', tokenFile];
        await run([process.execPath, program, ...words, '--state', stateFolder]);
        made = true;
      }
      const options = ['--token', tokenFile, '--interface', 'lan2', '--state', state, '--cache-size', '2G', ...more];
      const started = startRelay(inside, options, deadlineMs);
      processes.push(started);
      await started.logged({ event: 'relay' });
      return started;
    },
    async cut(is) {
      const rule = is
        ? `add table inet cut { chain in { type filter hook input priority 0; iifname "${uplinkCard}" drop; }; chain out { type filter hook output priority 0; oifname "${uplinkCard}" drop; }; }`
        : 'delete table inet cut';
      await run(inside(['nft', rule]));
    },
    async uplinkBytes() {
      const { stdout } = await run(['ip', '-n', net.rt!, '-j', '-s', 'link', 'show', 'dev', uplinkCard]);
      const [card] = JSON.parse(stdout) as { stats64: { rx: { bytes: number }; tx: { bytes: number } } }[];
      return { down: card!.stats64.rx.bytes, up: card!.stats64.tx.bytes };
    },
    tail: (lines) =>
      processes
        .flatMap((each) => [
          ...each.lines.slice(-lines).map((line) => `  ${JSON.stringify(line)}`),
          ...each.errors.slice(-lines),
        ])
        .join('\n'),
    async close() {
      await Promise.all(processes.map((each) => each.stop()));
    },
  };
}

/** `$subnets` for the site. With a range its relay is the only DHCP server there. */
export function siteSubnets(name: string, range: boolean): Record<string, string>[] {
  const cidr = `${lan2.prefix}.0/24`;
  return [{ cidr, relay: name, ...(range ? { range: `${lan2.prefix}.100-${lan2.prefix}.199` } : {}) }];
}
