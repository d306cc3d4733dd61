// Words of an iPXE script and of a kernel command line. Only characters that mean nothing to either pass; the rest is refused, as there is
// no way of quoting that iPXE and the kernel agree on.
//
// iPXE splits at white space, expands ${…}, and takes `&&`, `||` and a leading `#` for itself (ipxe.org/scripting). The kernel takes double
// quotes to hold white space together (Documentation/admin-guide/kernel-parameters.rst).

/** Refused text: what it was for, and the first character that may not stand there. */
export class WordRefused extends Error {
  readonly what: string;
  readonly word: string;
  /** Index of the first bad character; the length when something is missing at the end. */
  readonly offset: number;
  constructor(what: string, word: string, offset: number, accepted: string) {
    const found = offset < word.length ? `character ${JSON.stringify(word[offset])} at ${offset}` : 'its end';
    super(`${what}: found ${found} in ${JSON.stringify(word)}; accepted are ${accepted}`);
    this.name = 'WordRefused';
    this.what = what;
    this.word = word;
    this.offset = offset;
  }
}

const plain = /[A-Za-z0-9._,:;=/+@%~^!?*()[\]{}<>-]/;
const accepted =
  'letters, digits, . _ , : ; = / + @ % ~ ^ ! ? * ( ) [ ] { } < > -, and a pair of double quotes around single spaces';

/**
 * One word of a kernel command line, unchanged, fit to stand in an iPXE script. Inside double quotes single spaces may stand.
 * @param what names the source in the error, for instance `boot word of machine1`
 * @throws WordRefused
 */
export function kernelWord(word: string, what: string): string {
  let quoted = false;
  for (let at = 0; at < word.length; at++) {
    const character = word[at]!;
    if (character === '"') quoted = !quoted;
    else if (character === ' ' && quoted && word[at - 1] !== ' ') continue;
    else if (!plain.test(character)) throw new WordRefused(what, word, at, accepted);
  }
  if (quoted || word === '') throw new WordRefused(what, word, word.length, accepted);
  return word;
}

/** An http URL made of plain characters. @throws WordRefused */
export function urlWord(url: string, what: string): string {
  const shape = /^http:\/\/[0-9A-Za-z.:[\]-]+\/[0-9A-Za-z._~/-]*$/;
  if (!shape.test(url)) throw new WordRefused(what, url, 0, 'http URLs of letters, digits and . _ ~ / -');
  return url;
}

/** Text for a person at the screen, on one line: what iPXE would take for itself is replaced by `?`, and it is cut at 200 characters. */
export function screenText(text: string): string {
  const one = text.replace(/\s+/g, ' ').trim();
  return one.replace(/[^A-Za-z0-9 ._,:;=/+@%~!?*()[\]<>'-]/g, '?').slice(0, 200);
}
