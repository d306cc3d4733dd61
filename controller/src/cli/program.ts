// The command line: which commands and options there are, and what each hands to its handler. Reads configuration, starts nothing.
// It is long because each command has its help here.
import { Command, CommanderError } from 'commander';
import type { ConfigResult, InstallOptions, Surroundings } from '../config/flags.ts';
import type { InventoryOnlyOptions, InventoryRun } from '../config/inventory-run.ts';
import { ConfigError, nearest, type Problem } from '../config/problem.ts';
import type { DhcpSetting, RunConfig } from '../config/run-config.ts';
import type { Host } from '../machine/host.ts';
import type { Subnet } from '../machine/subnet.ts';
import { completionScript, shells } from './completion.ts';
import type { DoctorOptions, DoctorRequest } from './doctor-request.ts';
import { type ExitCode, exitCodeHelp, exitCodes } from './exit-codes.ts';
import {
  type InventoryOptions,
  type InventoryRequest,
  inventoryFormats,
  readInventoryRequest,
} from './inventory-request.ts';
import { type LogsOptions, type LogsRequest, readLogs } from './logs-request.ts';
import { manPage } from './man-page.ts';
import { type OperatorOptions, type OperatorRequest, readOperator, type StatusRequest } from './operator-request.ts';
import { defaultCacheSize, defaultPlanLife, type RelayOptions, type RelayRequest, readRelay } from './relay-request.ts';
import { type RelayTokenOptions, type RelayTokenRequest, readRelayToken } from './relay-token-request.ts';
import {
  addConfigOptions,
  addInstallOptions,
  addRunOptions,
  addressOption,
  dhcpOption,
  hostsOption,
  interfaceOption,
  ipxeOption,
  jsonOption,
  logDirOption,
  stateOption,
} from './run-options.ts';
import type { WakeRequest } from './wake-request.ts';

export interface ExplainRequest {
  /** A file's path as given, or hexadecimal digits of one packet. */
  readonly capture: string;
  /** Absent: every machine that boots from the network counts as listed. */
  readonly hosts?: readonly Host[];
  /** Of the hosts file. */
  readonly subnets?: readonly Subnet[];
  readonly dhcp?: DhcpSetting;
  /** Our own on the captured network. */
  readonly address?: string;
  readonly json: boolean;
}

/** What the commands do. Each resolves with the exit status; a rejection is mapped by exit-codes.ts. */
export interface Handlers {
  install(config: RunConfig, warnings: readonly string[]): Promise<ExitCode>;
  /** @param read the same options and files, read again */
  serve(config: RunConfig, warnings: readonly string[], read: () => ConfigResult): Promise<ExitCode>;
  check(config: RunConfig, warnings: readonly string[]): Promise<ExitCode>;
  explain(request: ExplainRequest): Promise<ExitCode>;
  wake(request: WakeRequest): Promise<ExitCode>;
  retry(request: OperatorRequest): Promise<ExitCode>;
  cancel(request: OperatorRequest): Promise<ExitCode>;
  status(request: StatusRequest): Promise<ExitCode>;
  inventory(request: InventoryRequest): Promise<ExitCode>;
  inventoryOnly(run: InventoryRun): Promise<ExitCode>;
  logs(request: LogsRequest): Promise<ExitCode>;
  doctor(request: DoctorRequest): Promise<ExitCode>;
  relay(request: RelayRequest): Promise<ExitCode>;
  relayToken(request: RelayTokenRequest): Promise<ExitCode>;
  /** Names of the hosts of the controller that runs; none when there is no such. */
  names(request: Pick<OperatorRequest, 'socket'>): Promise<readonly string[]>;
}

export interface ProgramWorld {
  readonly around: Surroundings;
  /** Standard output and standard error. */
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** `0.1.0 (Node v24.21.0)` */
  readonly version: string;
  /** Cells; absent when it is no terminal. */
  readonly columns?: number;
}

/** Reading configuration takes longer to load than to tell what there is: what no command needs is not loaded. */
const flags = () => import('../config/flags.ts');

/** The command line itself was wrong. */
export class UsageError extends Error {
  override name = 'UsageError';
}

const examples = `
Examples:
  $ sudo nixie --installer ./examples#nixosConfigurations.installer --flake ./examples --hosts ./examples/hosts.json
  $ sudo nixie --installer .#installer --flake . --hosts hosts.json --only web1 --reinstall web1
  $ sudo nixie --installer .#installer --flake . --hosts hosts.json --interface eth1 --dhcp range=10.0.0.100-10.0.0.199
  $ nixie check --flake . --hosts hosts.json
  $ nixie explain --hosts hosts.json capture.pcap
  $ sudo nixie wake --hosts hosts.json web1
  $ sudo nixie serve --installer .#installer --flake . --hosts hosts.json
  $ sudo nixie status
  $ sudo nixie logs web1 -f
  $ sudo nixie doctor web1
  $ sudo nixie inventory web1
  $ sudo nixie retry web1 web2
  $ sudo nixie cancel web1
  $ sudo nixie relay-token rack7 --url https://192.0.2.7:7482 --out rack7.token
  $ sudo nixie relay --controller 192.0.2.7 --token /etc/nixie/rack7.token --interface eth1
`;
const exitHelp = `
Exit status:
${exitCodeHelp.map(([code, text]) => `  ${String(code).padEnd(4)}${text}`).join('\n')}
`;

const serveHelp = `
It ends by SIGTERM, with 0. A bad hosts file is said in full, and what held before holds on.

Example:
  $ sudo nixie serve --installer .#installer --flake . --hosts /etc/nixie/hosts.json --dhcp proxy
`;
const relayHelp = `
The relay answers DHCP (beside another server, or as the only one where the controller's hosts file gives it a range), TFTP and HTTP for the hosts that
the hosts file puts behind it (relay: "NAME"), keeps the installer's files near them, and carries their connections. It connects to the controller
(TCP 7482); nothing has to reach it from there. While the controller is away it answers on by what it knows.

Examples:
  $ sudo nixie relay --controller 192.0.2.7 --token /etc/nixie/rack7.token --interface eth1
  $ sudo nixie relay --token rack7.token --interface eth1 --interface eth2 --cache-size 50G --json

Exit status: 0 ended by SIGTERM; 1 a part failed; 2 usage; 3 this machine can not serve: port, interface, rights, state folder; 130 ended by SIGINT
`;
const relayTokenHelp = `
Whoever has the token first is this relay: bring it there by a safe way (with --out it is written for root alone). Its first use binds it to the relay's
key. A new token of a name takes the place of the older one. A controller that runs takes notice of either within two seconds.

Examples:
  $ sudo nixie relay-token rack7 --url https://192.0.2.7:7482 --out rack7.token
  $ sudo nixie relay-token --list
  $ sudo nixie relay-token rack7 --revoke

Exit status: 0 done; 2 usage, or there is no such token
`;
const operatorExits = `
Exit status: 0 done; 1 the controller refused, and said why; 2 it has no such host; 3 no controller answers there
`;
const inventoryOnlyHelp = `
With --inventory-only nothing is installed: each machine that asks to boot is read and switched off, and hosts.json, NAME/inventory.json and, where
the image has nixos-facter, NAME/facter.json are written. It ends with 0 when each machine that was answered was read, and with 1 otherwise.
  $ sudo nixie --inventory-only --installer .#installer --any --interface eth1 --for 30m
`;
const inventoryHelp = `
Where no controller runs, what it kept in its state folder is told.

Examples:
  $ sudo nixie inventory
  $ sudo nixie inventory web1
  $ sudo nixie inventory web1 --format json > web1/inventory.json
  $ sudo nixie inventory web1 --format nix

Exit status: 0 done; 1 its agent has not reported that yet; 2 there is no such host; 3 the controller can not be asked
`;
const operatorHelp: Readonly<Record<string, string>> = {
  retry: `\nExample:\n  $ sudo nixie retry web1 web2\n${operatorExits}`,
  cancel: `\nExample:\n  $ sudo nixie cancel --state /srv/nixie web1\n${operatorExits}`,
  inventory: inventoryHelp,
  status: `\nExamples:\n  $ sudo nixie status\n  $ sudo nixie status --watch --json\n${operatorExits}`,
};

const doctorHelp = `
Of a machine: the last step that it reached, the likely cause, what to try, and what shows it. Asks the controller that runs; where none runs, it reads
the journal of the last run. Without a host: all machines that have not come to a good end.

With --interface, before a run: other DHCP and PXE servers (one DISCOVER of a machine that does not exist is sent), ports, firewall, programs, boot
loaders, the interface itself. Nothing is changed. Needs root to hear others, to try ports below 1024 and to read firewall rules.

Examples:
  $ sudo nixie doctor
  $ sudo nixie doctor web1 --json
  $ sudo nixie doctor --interface eth0
  $ sudo nixie doctor --interface eth1 --dhcp range=10.0.0.100-10.0.0.199

Exit status: 0 nothing found; 1 findings; 2 usage, or no such host; 3 there is nothing to look at, or a part could not be looked at
`;

const logsHelp = `
Without a controller that runs it reads the files of the newest run that knows the host. They are in --log-dir, one folder for each run.

Examples:
  $ sudo nixie logs web1
  $ sudo nixie logs web1 -f --since 10m
  $ sudo nixie logs web1 --stage copy --json

Exit status: 0 done; 1 the controller failed; 2 nobody knows such a host; 3 no controller answers there, and there are no files
`;

/** For scripts; no help names them. */
export const hiddenCommands: readonly string[] = ['man-page', 'complete-hosts'];

/**
 * The program; `settle` is told the exit status of the command that ran. Without a command it is `install`, as in the Go Nixie.
 * Parsing throws CommanderError for help, version and usage, and ConfigError for everything that is wrong with options and files.
 */
export function buildProgram(handlers: Handlers, world: ProgramWorld, settle: (code: ExitCode) => void): Command {
  const program = new Command('nixie')
    .description('Turns blank machines into proved NixOS installs.')
    .usage('[install] --installer REF --flake REF --hosts FILE [options]\n       nixie COMMAND [options]')
    .version(`nixie ${world.version}`, '--version', 'print the versions of nixie and Node')
    .helpOption('-h, --help', 'print this help')
    .configureOutput({
      writeOut: world.out,
      writeErr: world.err,
      getOutHelpWidth: () => world.columns ?? 100,
      getErrHelpWidth: () => world.columns ?? 100,
      // Colours are for what a run shows.
      getOutHasColors: () => false,
      getErrHasColors: () => false,
      outputError: (text, write) => write(`nixie: ${text.replace(/^error: /, '')}`),
    })
    // Defaults stand in the descriptions; what an option without its value means is nobody's business.
    .configureHelp({ optionDescription: ({ description }) => description })
    .addHelpText(
      'after',
      `\nWithout a command it is install; its options: nixie install --help\n${examples}${exitHelp}`,
    )
    .exitOverride();

  const configOf = async (options: InstallOptions, needs: 'install' | 'check') => {
    const { readInstallOptions } = await flags();
    const read = () => readInstallOptions(options, world.around, needs);
    const result = read();
    if (!result.ok) throw new ConfigError(result.problems);
    return { ...result, read };
  };
  const command = (name: string, description: string, more = {}): Command =>
    program
      .command(name, more)
      .description(description)
      .copyInheritedSettings(program)
      .showHelpAfterError(`see nixie ${name} --help`)
      .helpOption('-h, --help', 'print this help');

  addInstallOptions(command('install', 'install the machines of a hosts file (as root)', { isDefault: true }))
    .addHelpText('after', `${inventoryOnlyHelp}${exitHelp}`)
    .action(async (options: InventoryOnlyOptions) => {
      const { inventoryOnlyWords, readInventoryRun } = await import('../config/inventory-run.ts');
      if (options.inventoryOnly === true) {
        const result = readInventoryRun(options, world.around);
        if (!result.ok) throw new ConfigError(result.problems);
        return settle(await handlers.inventoryOnly(result.run));
      }
      const misplaced = inventoryOnlyWords(options);
      if (misplaced.length > 0) throw new ConfigError(misplaced);
      const { config, warnings } = await configOf(options, 'install');
      settle(await handlers.install(config, warnings));
    });

  addRunOptions(
    command('serve', 'install machines for as long as it runs; SIGHUP reads the hosts file again (as root)'),
  )
    .addHelpText('after', serveHelp)
    .action(async (options: InstallOptions) => {
      const { config, warnings, read } = await configOf(options, 'install');
      settle(await handlers.serve(config, warnings, read));
    });

  addConfigOptions(command('check', 'check hosts file and flake; nothing is built or started')).action(
    async (options: InstallOptions) => {
      const { config, warnings } = await configOf(options, 'check');
      settle(await handlers.check(config, warnings));
    },
  );

  command('explain', 'decode DHCP and TFTP packets, and say what nixie would answer and why')
    .argument('<capture>', 'a pcap, pcapng or JSON lines file, or the hexadecimal digits of one packet')
    .addOption(hostsOption())
    .addOption(dhcpOption())
    .addOption(addressOption())
    .addOption(jsonOption('print one JSON object for each packet'))
    .action(async (capture: string, options: { hosts?: string; dhcp?: string; address?: string; json?: boolean }) => {
      const problems: Problem[] = [];
      const no = (where: string, text: string) => void problems.push({ where, text });
      const { address } = options;
      const [{ checkAddress, readDhcp }, { declaredIn }] = await Promise.all([flags(), import('./declared.ts')]);
      const dhcp = options.dhcp === undefined ? undefined : readDhcp(options.dhcp, no);
      const declared = options.hosts === undefined ? undefined : declaredIn(options.hosts, world.around, problems);
      if (address !== undefined) checkAddress(address, no);
      if (problems.length > 0) throw new ConfigError(problems);
      settle(
        await handlers.explain({
          capture,
          json: options.json ?? false,
          ...declared,
          ...(dhcp && { dhcp }),
          ...(address && { address }),
        }),
      );
    });

  command('wake', 'send magic packets (Wake-on-LAN)')
    .argument('<host|mac...>', 'names of the hosts file, or MAC addresses')
    .addOption(hostsOption())
    .addOption(interfaceOption())
    .addOption(addressOption())
    .option('--secure-on <password>', 'SecureOn password of the card: 6 bytes like a MAC, or 4 like 192.168.1.1')
    .addOption(jsonOption('print one JSON object for each machine'))
    .action(async (targets: string[], options) => {
      const problems: Problem[] = [];
      const [{ declaredIn }, { readWake }] = await Promise.all([import('./declared.ts'), import('./wake-request.ts')]);
      const declared = declaredIn(options.hosts, world.around, problems);
      const request = readWake(targets, options, declared, problems);
      if (problems.length > 0) throw new ConfigError(problems);
      settle(await handlers.wake(request));
    });

  const operatorCommand = (name: string, description: string): Command =>
    command(name, description).addOption(stateOption()).addHelpText('after', operatorHelp[name]!);
  for (const name of ['retry', 'cancel'] as const)
    operatorCommand(
      name,
      name === 'retry'
        ? 'have machines that failed or were refused begin anew'
        : 'end what is being done to machines; they count as failed',
    )
      .argument('<host...>', 'names of hosts of the controller that runs')
      .action(async (hosts: string[], options: OperatorOptions) => {
        settle(await handlers[name]({ hosts: [...new Set(hosts)], ...readOperator(options, world.around) }));
      });
  operatorCommand('inventory', 'say what machines are made of, as their agents reported it')
    .argument('[host]', 'name of a host; without it: all')
    .option('--format <format>', `${inventoryFormats.join(', ')} (default: table)`)
    .action(async (host: string | undefined, options: InventoryOptions) => {
      settle(await handlers.inventory(readInventoryRequest(host, options, world.around)));
    });
  operatorCommand('status', 'say where the machines of the controller that runs are')
    .option('--watch', 'go on, with a line for each change, until the controller ends')
    .addOption(jsonOption('print one JSON object for each machine'))
    .action(async (options: OperatorOptions & { watch?: boolean; json?: boolean }) => {
      const { watch = false, json = false } = options;
      settle(await handlers.status({ watch, json, ...readOperator(options, world.around) }));
    });

  command('logs', 'say what a machine, its installer and its install have said')
    .argument('<host>', 'name of a host of the controller that runs, or of an earlier run')
    .option('-f, --follow', 'go on, with each line that comes, until the controller ends')
    .option('--since <time>', 'leave out what is older: 10m, 1h30m, 21:05, 2026-11-20T21:05 (UTC)')
    .option('--stage <stage>', 'only what was said in this stage, like copy')
    .addOption(stateOption())
    .addOption(logDirOption())
    .addOption(jsonOption('print one JSON object for each line'))
    .addHelpText('after', logsHelp)
    .action(async (host: string, options: LogsOptions) => {
      settle(await handlers.logs(readLogs(host, options, world.around)));
    });

  command('doctor', 'say why a machine came no further; with --interface, what stands in the way of a run')
    .argument('[host]', 'name of a host of the controller that runs, or of the last run')
    .addOption(stateOption())
    .addOption(interfaceOption())
    .addOption(dhcpOption())
    .addOption(ipxeOption())
    .addOption(jsonOption('print one JSON object for each machine, or for each finding'))
    .addHelpText('after', doctorHelp)
    .action(async (host: string | undefined, options: DoctorOptions) => {
      const { readDoctor } = await import('./doctor-request.ts');
      settle(await handlers.doctor(readDoctor(host, options, world.around)));
    });

  command('relay', 'serve the machines of another subnet on behalf of a controller (as root)')
    .option('--controller <host[:port]>', 'where the controller is reached (default: as the join token says)')
    .option('--token <file>', 'join token, made at the controller by nixie relay-token')
    .addOption(interfaceOption())
    .option(
      '--state <dir>',
      'where its key is (default: /var/lib/nixie-relay as root, else $XDG_STATE_HOME/nixie-relay)',
    )
    .option('--cache-dir <dir>', 'where its cache is (default: in the state folder)')
    .option('--cache-size <size>', `what the cache may take of the disk (default: ${defaultCacheSize})`)
    .option(
      '--plan-life <duration>',
      `how long machines are still offered the installer when the controller is away (default: ${defaultPlanLife})`,
    )
    .addOption(jsonOption('print one JSON object a line'))
    .addHelpText('after', relayHelp)
    .action(async (options: RelayOptions) => {
      const read = readRelay(options, world.around);
      if (!read.ok) throw new ConfigError(read.problems);
      settle(await handlers.relay(read.request));
    });

  command('relay-token', 'make the token by which a relay joins the controller; list tokens, or revoke one')
    .argument('[name]', "the relay's name, as the hosts file has it")
    .option('--url <url>', 'where the relay reaches this controller, like https://192.0.2.7:7482')
    .option('--out <file>', 'write the token to this file, for its owner alone (default: standard output)')
    .option('--list', 'say which relays have a token')
    .option('--revoke', 'let the relay in no more; its link ends')
    .addOption(stateOption())
    .addOption(jsonOption('print JSON objects'))
    .addHelpText('after', relayTokenHelp)
    .action(async (name: string | undefined, options: RelayTokenOptions) => {
      settle(await handlers.relayToken(readRelayToken(name, options, world.around)));
    });

  command('completion', 'print a completion script for your shell')
    .argument('<shell>', shells.join(', '))
    .addHelpText(
      'after',
      `
For bash: source <(nixie completion bash)
For zsh, after compinit: source <(nixie completion zsh)
For fish: nixie completion fish | source`,
    )
    .action((shell: string) => {
      const script = completionScript(program, shell);
      if (script === undefined)
        throw new UsageError(`found the shell ${JSON.stringify(shell)}, accepted: ${shells.join(', ')}`);
      world.out(script);
      settle(exitCodes.done);
    });

  // For those who make packages of it.
  program.command('man-page', { hidden: true }).action(() => {
    world.out(manPage(program, world.version));
    settle(exitCodes.done);
  });

  // Asked by the completion scripts; prints nothing when there is nothing to offer.
  program
    .command('complete-hosts', { hidden: true })
    .argument('[file]')
    .addOption(stateOption())
    .action(async (file: string | undefined, options: OperatorOptions) => {
      if (file === undefined) {
        // Without a hosts file on the line: those of the controller that runs.
        for (const name of await handlers.names(readOperator(options, world.around))) world.out(`${name}\n`);
        return settle(exitCodes.done);
      }
      const problems: Problem[] = [];
      const { declaredIn } = await import('./declared.ts');
      for (const { name } of declaredIn(file, world.around, problems).hosts) world.out(`${name}\n`);
      settle(exitCodes.done);
    });
  return program;
}

/**
 * Runs a command line (without node and program). Resolves with its exit status when it was understood; rejects with UsageError,
 * ConfigError, or what the handler rejected with.
 */
export async function runProgram(argv: readonly string[], handlers: Handlers, world: ProgramWorld): Promise<ExitCode> {
  let code: ExitCode = exitCodes.done;
  const program = buildProgram(handlers, world, (settled) => {
    code = settled;
  });
  const [first] = argv;
  const names = [...program.commands.map((each) => each.name()), 'help'];
  const shown = names.filter((name) => !hiddenCommands.includes(name));
  const named = first === 'help' ? argv[1] : first;
  if (named !== undefined && !named.startsWith('-') && !names.includes(named)) {
    const guess = nearest(named, shown);
    const hint = guess === undefined ? `commands: ${shown.join(', ')}` : `did you mean ${guess}?`;
    throw new UsageError(`found ${JSON.stringify(named)}, which is no command; ${hint}`);
  }
  try {
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Commander has printed its message or the help.
    const late = argv.find((word) => shown.includes(word));
    if (error.code === 'commander.excessArguments' && first?.startsWith('-') && late !== undefined)
      world.err(`the command comes first: nixie ${late} …\n`);
    return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
  }
  return code;
}
