// What comes from hosts files and images into boot scripts: boot words line by line; the first line is the machine's name.
import {
  CommandLineTooLong,
  installerScript,
  localScript,
  refusalScript,
} from '../../../controller/src/answer/script.ts';
import type { Mac } from '../../../controller/src/machine/mac.ts';
import { kernelWord, screenText, urlWord, WordRefused } from '../../../controller/src/wire/ipxe/words.ts';
import { bytesOf, must, type Target, text } from '../target.ts';

const files = {
  kernelSha256: 'a'.repeat(64),
  initrdSha256: 'b'.repeat(64),
  kernelParams: ['init=/init'],
  needsBytes: 1e9,
};
const boot = {
  mac: '52:54:00:77:00:01' as Mac,
  address: '10.77.0.1',
  httpPort: 7480,
  grpcPort: 7481,
  fingerprint: 'c'.repeat(64),
  token: 'd'.repeat(32),
};
const plainLines = installerScript(files, { ...boot, machine: 'm', boot: [] }).split('\n').length;

export const target: Target = {
  name: 'ipxe-words',
  seeds: [
    bytesOf('machine1\nconsole=ttyS0,115200\nip=dhcp'),
    bytesOf('rack 7\ndyndbg="file drivers/usb/* +p"'),
    bytesOf('http://10.0.0.1:7480/f/aa/kernel'),
  ],
  dictionary: [
    '${',
    'net0/mac}',
    '&&',
    '||',
    '#',
    '"',
    '" "',
    '\\',
    '\n',
    '\r',
    '\0',
    '%20',
    'http://',
    '\u2028',
    '$(',
  ],
  allowed: [WordRefused, CommandLineTooLong],
  run(bytes) {
    const [machine = '', ...words] = text(bytes).split('\n');
    for (const script of [localScript(machine), refusalScript(machine)])
      must(/^[\n -~]*$/.test(script), 'scripts hold printable ASCII');
    const shown = screenText(machine);
    must(shown.length <= 200 && /^[ -~]*$/.test(shown) && !/[$&|"\\#]/.test(shown), 'nothing of iPXE on the screen');
    try {
      const url = urlWord(machine, 'url');
      must(!/[\s$&|"'#]/.test(url), 'an URL is one word');
    } catch (error) {
      if (!(error instanceof WordRefused)) throw error;
    }
    for (const word of words) must(!/[$&|#\n\r\\']/.test(kernelWord(word, 'word')), 'a word means nothing to iPXE');
    const script = installerScript(files, { ...boot, machine, boot: words });
    must(script.split('\n').length === plainLines, 'no word makes a line');
  },
};
