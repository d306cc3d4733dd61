import { parseSource, splitWords } from '../../../controller/src/config/secret-source.ts';
import { bytesOf, must, type Target, text } from '../target.ts';

export const target: Target = {
  name: 'secret-source',
  seeds: ['file:/run/key', 'env:DISK_KEY', 'prompt', 'command:pass show "rack 1/disk" \'a b\' c\\ d'].map(bytesOf),
  dictionary: ['file:', 'command:', 'env:', '~', "'", '"', '\\', '\\"', ' ', '\t', '\0', '$(x)'],
  allowed: [],
  run(bytes) {
    const given = text(bytes);
    const source = parseSource(given);
    if (source?.kind === 'file') must(!source.path.includes('\0'), 'a path has no NUL');
    const words = splitWords(given);
    if (words === undefined) return;
    must(!words.join('').includes('\0'), 'no word has a NUL');
    const quoted = words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
    must(splitWords(quoted)?.join('\0') === words.join('\0'), 'quoted words read back as they were');
  },
};
