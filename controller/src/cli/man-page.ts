// The manual page, made from the program itself: roff with the macros of man(7).
import type { Command, Option } from 'commander';

/** Text that roff takes as it is: no escapes, no control lines, and hyphens that can be searched and copied. */
function plain(text: string): string {
  return text
    .replace(/\\/g, '\\e')
    .replace(/-/g, '\\-')
    .split('\n')
    .map((line) => line.trim().replace(/^(?=[.'])/, '\\&'))
    .filter((line) => line !== '')
    .join('\n');
}

const quoted = (text: string) => `"${plain(text).replace(/"/g, '\\(dq').replace(/\n/g, ' ')}"`;

function optionLines(options: readonly Option[]): string[] {
  return options
    .filter((option) => !option.hidden)
    .flatMap(({ flags, description }) => ['.TP', `.B ${quoted(flags)}`, plain(description)]);
}

/** @param version as `--version` prints it */
export function manPage(program: Command, version: string): string {
  const commands = program.commands.filter((command) => !(command as unknown as { _hidden: boolean })._hidden);
  return `${[
    `.TH NIXIE 8 "" ${quoted(`nixie ${version}`)} "System administration"`,
    '.SH NAME',
    `nixie \\- ${plain(program.description()).replace(/\.$/, '').replace(/^T/, 't')}`,
    '.SH SYNOPSIS',
    '.nf',
    ...commands.map((command) => `.B nixie ${plain(command.name())} ${plain(command.usage())}`),
    '.fi',
    'Without a command it is install. Examples and exit statuses are in the help of each command: nixie COMMAND \\-\\-help.',
    '.SH OPTIONS',
    ...optionLines(program.options),
    '.SH COMMANDS',
    ...commands.flatMap((command) => [
      `.SS ${quoted(`nixie ${command.name()}`)}`,
      plain(command.description()),
      ...optionLines(command.options),
    ]),
    '.SH SEE ALSO',
    '.BR nix (1),',
    '.BR ssh (1),',
    '.BR systemd.socket (5)',
  ].join('\n')}\n`;
}
