// What a binary cache says of a store path, and keys of caches. Whoever is between may have written it.
import {
  fingerprintOf,
  isSigned,
  makeCacheKey,
  readNarInfo,
  readPublicKey,
  writeNarInfo,
} from '../../../controller/src/nix/narinfo.ts';
import { bytesOf, must, type Target, text } from '../target.ts';

const key = makeCacheKey('fuzz-1');
const info = {
  path: '/nix/store/00000000000000000000000000000000-x',
  narHash: '0'.repeat(64),
  narSize: 12,
  references: ['/nix/store/11111111111111111111111111111111-y'],
};

class NotRead extends Error {
  override name = 'NotRead';
}

export const target: Target = {
  name: 'narinfo',
  seeds: [
    writeNarInfo(info, { sign: () => 'fuzz-1:AAAA' }),
    writeNarInfo({ ...info, references: [] }, { sign: () => `fuzz-1:${'A'.repeat(86)}==` }),
    `fuzz-1:${'A'.repeat(43)}=`,
  ].map(bytesOf),
  dictionary: [
    'StorePath: ',
    'URL: nar/00000000000000000000000000000000.nar',
    'Compression: none',
    'NarHash: sha256:',
    'NarSize: ',
    'References: ',
    'Sig: fuzz-1:',
    '\n',
    '/nix/store/',
    '../',
  ],
  allowed: [NotRead],
  run(bytes) {
    const said = text(bytes);
    readPublicKey(said);
    let read: ReturnType<typeof readNarInfo>;
    try {
      read = readNarInfo(said);
    } catch (error) {
      must((error as Error).message.startsWith('read narinfo: '), 'an error says what was read');
      throw new NotRead('no narinfo', { cause: error });
    }
    must(!isSigned(read, key.publicText), 'nobody else makes our signatures');
    const again = readNarInfo(writeNarInfo(read, key));
    must(fingerprintOf(again) === fingerprintOf(read), 'what was read can be written');
    must(isSigned(again, key.publicText), 'what we sign is believed');
    for (const path of [read.path, ...read.references])
      must(!path.slice(path.lastIndexOf('/') + 1).startsWith('.'), 'names of store paths');
  },
};
