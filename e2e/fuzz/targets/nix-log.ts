// All that nix writes to stderr, in pieces as a pipe gives it.
import { splitLines } from '../../../controller/src/child/lines.ts';
import { adviceFor, causeOf, lastError, plain } from '../../../controller/src/nix/causes.ts';
import { nixLog, storeName } from '../../../controller/src/nix/log.ts';
import { fileSeed } from '../seeds.ts';
import { must, type Target, text } from '../target.ts';

const fixture = (name: string): Uint8Array => fileSeed(`controller/src/nix/fixtures/${name}.log`);

export const target: Target = {
  name: 'nix-log',
  seeds: ['build-2.26', 'build-2.8', 'eval-error-2.26', 'eval-error-2.8', 'substitute-2.26', 'substitute-2.8'].map(
    fixture,
  ),
  dictionary: [
    '@nix {"action":"start","id":1,"type":105,"fields":["/nix/store/00000000000000000000000000000000-x.drv"]}\n',
    '@nix {"action":"start","id":2,"type":101,"text":"downloading"}\n',
    '@nix {"action":"result","id":2,"type":105,"fields":[1,2]}\n',
    '@nix {"action":"result","id":1,"type":101,"fields":["line"]}\n',
    '@nix {"action":"stop","id":1}\n',
    '@nix {"action":"msg","level":0,"msg":"error: x"}\n',
    'build of ',
    "path '",
    '/a-source/',
    "' does not exist",
    '.drv!',
    'dependency of derivation ',
    "'/nix/store/x.drv'",
    'error: ',
    '\u001b[31;1m',
    '\u001b]',
    '> ',
    "builder for '",
    ' failed',
  ],
  allowed: [],
  run(bytes) {
    const log = nixLog();
    let nowMs = 0;
    const lines = splitLines((line) => {
      nowMs += 100;
      log.line(line, nowMs);
    }, 64 * 1024);
    for (let at = 0; at < bytes.length; at += 1000) lines.push(bytes.subarray(at, at + 1000));
    lines.end();
    for (const failure of log.failures()) {
      must(failure.log.length <= 25, 'logs of failures are short');
      storeName(failure.drv);
    }
    adviceFor(causeOf(log.told()));
    must(log.errorText().length <= 4096, 'the error is bounded');
    const said = text(bytes);
    causeOf(said);
    lastError(said);
    must(!/[\u0000-\u0008\u000e-\u001f]/.test(plain(said)), 'plain text has no control characters');
  },
};
