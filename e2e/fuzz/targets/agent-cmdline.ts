// The kernel's command line as the agent reads it; each of its lines is an argument of the agent's own command line too.
import { readBootWords, readEndpoint, readMac, splitCommandLine, withoutSecrets } from '../../../agent/src/cmdline.ts';
import { readCommand, UsageError } from '../../../agent/src/settings.ts';
import { bytesOf, must, type Target, text } from '../target.ts';

const token = 'd'.repeat(32);

export const target: Target = {
  name: 'agent-cmdline',
  seeds: [
    bytesOf(
      `init=/x loglevel=4 dyndbg="a b" nixie.controller=10.0.0.1:7481,[fe80::1]:7481 nixie.fingerprint=${'c'.repeat(64)} nixie.token=${token} nixie.mac=52:54:00:77:00:01 nixie.refused=wait nixie.image=${'e'.repeat(64)} BOOTIF=01-52-54-00-77-00-01 initrd=initrd\n`,
    ),
    bytesOf(`--controller\n10.0.0.1:7481\n--token\n${token}\n--fingerprint\n${'c'.repeat(64)}\n--mac\n525400770001`),
    bytesOf('--inventory'),
    bytesOf(`--fetch\nx\n--image\n${'e'.repeat(64)}\n--door\n10.0.0.1,[::1]:9\n--peer-port\n7000`),
  ],
  dictionary: [
    'nixie.token=',
    'nixie.controller=',
    'nixie.mac=',
    'nixie.image=',
    '--fetch',
    '--door',
    'BOOTIF=',
    '"',
    '\0',
    ' ',
    ',',
    '--patience',
    '--refused=wait',
    '-h',
    '-V',
    '[::1]:1',
    ':99999',
  ],
  allowed: [UsageError],
  run(bytes) {
    const line = text(bytes);
    const words = readBootWords(line);
    for (const controller of words.controllers)
      must(readEndpoint(controller) !== undefined, 'controllers are endpoints');
    must(words.mac === undefined || readMac(words.mac) === words.mac, 'a MAC stands in its usual form');
    must(
      splitCommandLine(line).every((word) => word !== ''),
      'no word is empty',
    );
    const shown = withoutSecrets(line);
    must(words.token === undefined || !readBootWords(shown).token, 'the token is not shown');
    const args = line
      .split('\n')
      .slice(0, 64)
      .filter((word) => !/^--(?:cmdline|root|c\w*=|r\w*=)/.test(word));
    readCommand([...args, '--cmdline', '/dev/null', '--root', '/nonexistent']);
  },
};
