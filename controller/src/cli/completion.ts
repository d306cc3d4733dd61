// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is the text of shell scripts
// Completion scripts for bash, zsh and fish, made from the program itself. Names of hosts are asked of `nixie complete-hosts` when they are
// needed, with the hosts file that stands on the line.
import type { Command, Option } from 'commander';
import { type Offer, offers } from './run-options.ts';

export const shells = ['bash', 'zsh', 'fish'] as const;

interface CommandWords {
  readonly name: string;
  readonly description: string;
  readonly options: readonly Option[];
  /** What stands after it: files, hosts or fixed words. */
  readonly argument?: Offer;
}

const argumentsOf: Readonly<Record<string, Offer>> = {
  explain: 'file',
  wake: 'host',
  retry: 'host',
  cancel: 'host',
  inventory: 'host',
  logs: 'host',
  doctor: 'host',
  completion: shells,
};

function commandsOf(program: Command): CommandWords[] {
  return program.commands
    .filter((command) => !(command as unknown as { _hidden: boolean })._hidden)
    .map((command) => {
      const name = command.name();
      const argument = argumentsOf[name];
      return {
        name,
        description: command.description(),
        options: command.options.filter((option) => !option.hidden),
        ...(argument !== undefined && { argument }),
      };
    });
}

/** The script for a shell; undefined for one that isn't known. */
export function completionScript(program: Command, shell: string): string | undefined {
  const commands = commandsOf(program);
  if (shell === 'bash') return bash(commands);
  if (shell === 'zsh') return zsh(commands);
  if (shell === 'fish') return fish(commands);
  return undefined;
}

const takesValue = (option: Option) => option.required || option.optional;
const wordOf = (option: Option) => option.long ?? option.short ?? '';
const nameOf = (option: Option) => wordOf(option).replace(/^--?/, '');

/** A `case` of bash that fills COMPREPLY for one kind of value. */
function bashReply(offer: Offer | undefined): string {
  if (offer === 'file') return 'COMPREPLY=($(compgen -f -- "$cur")); compopt -o filenames 2>/dev/null';
  if (offer === 'folder') return 'COMPREPLY=($(compgen -d -- "$cur")); compopt -o filenames 2>/dev/null';
  if (offer === 'interface') return 'COMPREPLY=($(compgen -W "$(command ls /sys/class/net 2>/dev/null)" -- "$cur"))';
  if (offer === 'host') return 'COMPREPLY=($(compgen -W "$(_nixie_hosts)" -- "$cur"))';
  if (offer === undefined) return 'COMPREPLY=()';
  const stay = offer.some((word) => word.endsWith('=')) ? '; compopt -o nospace 2>/dev/null' : '';
  return `COMPREPLY=($(compgen -W "${offer.join(' ')}" -- "$cur"))${stay}`;
}

function bash(commands: readonly CommandWords[]): string {
  const options = new Map(commands.flatMap((command) => command.options).map((option) => [wordOf(option), option]));
  const values = [...options.values()].filter(takesValue);
  const lines = [
    '_nixie_hosts() {',
    '  local i file state command',
    '  for ((i = 1; i < ${#COMP_WORDS[@]}; i++)); do',
    '    case "${COMP_WORDS[i]}" in',
    // bash breaks words at `=`: --hosts=FILE is three.
    '      --hosts) file="${COMP_WORDS[i+1]}"; [ "$file" = "=" ] && file="${COMP_WORDS[i+2]}" ;;',
    '      --hosts=*) file="${COMP_WORDS[i]#--hosts=}" ;;',
    '      --state) state="${COMP_WORDS[i+1]}"; [ "$state" = "=" ] && state="${COMP_WORDS[i+2]}" ;;',
    '      --state=*) state="${COMP_WORDS[i]#--state=}" ;;',
    '      retry|cancel|logs|inventory|doctor) command="${COMP_WORDS[i]}" ;;',
    '    esac',
    '  done',
    // Those speak of the hosts of the controller that runs.
    '  if [ -n "$command" ]; then "${COMP_WORDS[0]}" complete-hosts ${state:+--state "${state/#\\~/$HOME}"} 2>/dev/null',
    '  elif [ -n "$file" ]; then "${COMP_WORDS[0]}" complete-hosts "${file/#\\~/$HOME}" 2>/dev/null; fi',
    '}',
    '_nixie() {',
    '  local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}" command=install i',
    '  [ "$cur" = "=" ] && cur=""',
    '  [ "$prev" = "=" ] && prev="${COMP_WORDS[COMP_CWORD-2]}"',
    '  for ((i = 1; i < COMP_CWORD; i++)); do',
    '    case "${COMP_WORDS[i]}" in',
    `      ${commands.map(({ name }) => name).join('|')}) command="\${COMP_WORDS[i]}"; break ;;`,
    '      -*) break ;;',
    '    esac',
    '  done',
    '  case "$prev" in',
    ...values.map((option) => `    ${wordOf(option)}) ${bashReply(offers[nameOf(option)])}; return ;;`),
    '  esac',
    '  if ((COMP_CWORD == 1)) && [[ "$cur" != -* ]]; then',
    `    COMPREPLY=($(compgen -W "${commands.map(({ name }) => name).join(' ')}" -- "$cur")); return`,
    '  fi',
    '  case "$command" in',
    ...commands.flatMap(({ name, options: own, argument }) => [
      `    ${name})`,
      `      if [[ "$cur" == -* ]]; then COMPREPLY=($(compgen -W "${[...own.map(wordOf), '--help'].join(' ')}" -- "$cur"))`,
      `      else ${bashReply(argument)}; fi ;;`,
    ]),
    '  esac',
    '}',
    'complete -F _nixie nixie',
  ];
  return `${lines.join('\n')}\n`;
}

/** That of bash under zsh's own way to run such scripts; to be sourced, or to lie in `fpath` as `_nixie`. */
function zsh(commands: readonly CommandWords[]): string {
  const lines = [
    '#compdef nixie',
    'autoload -U +X bashcompinit && bashcompinit',
    bash(commands).trimEnd(),
    // From fpath the whole text is the function of the first call, which wants its answer.
    'if [ "${funcstack[1]}" = _nixie ]; then _bash_complete -F _nixie; fi',
  ];
  return `${lines.join('\n')}\n`;
}

function fish(commands: readonly CommandWords[]): string {
  const quote = (text: string) => `'${text.replace(/[\\']/g, '\\$&')}'`;
  const offer = (given: Offer | undefined): string => {
    if (given === 'file') return '-r -F';
    if (given === 'folder') return `-x -a ${quote('(__fish_complete_directories)')}`;
    if (given === 'interface') return `-x -a ${quote('(command ls /sys/class/net)')}`;
    if (given === 'host') return `-x -a ${quote('(__nixie_hosts)')}`;
    return given === undefined ? '-x' : `-x -a ${quote(given.join(' '))}`;
  };
  const names = commands.map(({ name }) => name).join(' ');
  const lines = [
    'function __nixie_hosts',
    '  set -l words (commandline -opc)',
    '  set -l file',
    '  set -l state',
    '  for i in (seq (count $words))',
    '    test $words[$i] = --hosts; and test $i -lt (count $words); and set file $words[(math $i + 1)]',
    "    string match -q -- '--hosts=*' $words[$i]; and set file (string replace -- '--hosts=' '' $words[$i])",
    '    test $words[$i] = --state; and test $i -lt (count $words); and set state --state $words[(math $i + 1)]',
    '  end',
    '  if contains -- retry $words; or contains -- cancel $words; or contains -- logs $words; or contains -- doctor $words; or contains -- inventory $words',
    '    $words[1] complete-hosts $state 2>/dev/null',
    '  else if test -n "$file"',
    '    $words[1] complete-hosts $file 2>/dev/null',
    '  end',
    'end',
    'complete -c nixie -f',
    ...commands.map(
      ({ name, description }) => `complete -c nixie -n __fish_use_subcommand -a ${name} -d ${quote(description)}`,
    ),
    ...commands.flatMap(({ name, options, argument }) => {
      // Without a command it is install.
      const when =
        name === 'install'
          ? quote(`not __fish_seen_subcommand_from ${names.replace(/\binstall ?/, '')}`)
          : quote(`__fish_seen_subcommand_from ${name}`);
      return [
        ...(argument === undefined ? [] : [`complete -c nixie -n ${when} ${offer(argument)}`]),
        ...options.map((option) => {
          const value = takesValue(option) ? ` ${offer(offers[nameOf(option)])}` : '';
          return `complete -c nixie -n ${when} -l ${nameOf(option)}${value} -d ${quote(option.description)}`;
        }),
      ];
    }),
  ];
  return `${lines.join('\n')}\n`;
}
