import { knownHostsText } from '../../../controller/src/install/shim.ts';
import { withKnownHost } from '../../../controller/src/store/known-hosts.ts';
import { bytesOf, must, type Target, text } from '../target.ts';

const key = `ssh-ed25519 ${'A'.repeat(68)}`;

export const target: Target = {
  name: 'known-hosts',
  seeds: [
    bytesOf(`10.0.0.7,machine1 ${key}\nother ssh-ed25519 BBBB\n|1|x|y ${key}\n@cert-authority * ssh-rsa A\n# note\n`),
    bytesOf('machine1 ssh-rsa AAAA comment\r\n\r\n'),
    bytesOf(`${key} comment`),
  ],
  dictionary: [
    'machine1',
    '10.0.0.7,',
    ' ',
    ',',
    '@revoked ',
    '|1|',
    '#',
    '\r\n',
    'ssh-ed25519',
    '[machine1]:22',
    '\t',
  ],
  allowed: [],
  run(bytes) {
    const before = text(bytes);
    const names = ['10.0.0.7', 'machine1'];
    const merged = withKnownHost(before, names, key);
    must(withKnownHost(merged, names, key) === merged, 'adding again changes nothing');
    must(
      merged.endsWith(`\n10.0.0.7,machine1 ${key}\n`) || merged === `10.0.0.7,machine1 ${key}\n`,
      'the key is there',
    );
    const ours = merged
      .split('\n')
      .filter((line) => /^[^#@|]/.test(line) && line.split(/[ \t]+/)[1] === 'ssh-ed25519')
      .filter((line) =>
        line
          .replace(/^[ \t]+/, '')
          .split(/[ \t]/)[0]!
          .split(',')
          .some((name) => names.includes(name)),
      );
    must(ours.length === 1, 'no other key of the type is left for the names');
    try {
      must(/^(?:\* \S+ \S+\n)+$/.test(knownHostsText(before.split('\n'))), 'pinned keys are lines of three words');
    } catch (error) {
      if (!/^pin host key/.test((error as Error).message)) throw error;
    }
  },
};
