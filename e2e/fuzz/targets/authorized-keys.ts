// The file that is there, and after a NUL the lines that are to be put into it.
import { isKeyLine, mergeKeys } from '../../../agent/src/authorized-keys.ts';
import { bytesOf, must, type Target, text } from '../target.ts';

const key = `ssh-ed25519 ${'A'.repeat(68)} op`;

export const target: Target = {
  name: 'authorized-keys',
  seeds: [
    bytesOf(`${key}\n\0${key}\nssh-rsa ${'B'.repeat(40)}`),
    bytesOf(`# handed over by the controller at registration\n${key}\n\0from="10.*",no-pty ${key}`),
    bytesOf('\0'),
  ],
  dictionary: [
    '# handed over by the controller at registration\n',
    'ssh-rsa ',
    'command="x" ',
    '\0',
    '\n',
    '\r',
    '=',
    `${key}\n`,
  ],
  allowed: [],
  run(bytes) {
    const [before = '', ...after] = text(bytes).split('\0');
    const lines = after.join('').split('\n');
    const merged = mergeKeys(before, lines);
    must(mergeKeys(merged, lines) === merged, 'merging again changes nothing');
    const own = before.split('\n').slice(
      0,
      before.split('\n').findIndex((line) => line.startsWith('# handed')),
    );
    must(
      own.length === 0 ||
        !before.includes('# handed') ||
        own.every((line) => line.trim() === '' || merged.includes(line)),
      'what was there stays',
    );
    must(
      merged
        .split('\n')
        .slice(-lines.length - 1)
        .every((line) => line === '' || isKeyLine(line) || before.includes(line) || line.startsWith('#')),
      'only key lines are added',
    );
  },
};
