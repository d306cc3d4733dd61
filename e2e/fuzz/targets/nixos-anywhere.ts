// What nixos-anywhere and ssh print, in pieces as a pipe gives it.
import { maxLineLength, splitCleanLines } from '../../../controller/src/child/lines.ts';
import { watchCause } from '../../../controller/src/install/cause.ts';
import { readProgress } from '../../../controller/src/install/progress.ts';
import { readAnswer } from '../../../controller/src/install/verify.ts';
import { fileSeed } from '../seeds.ts';
import { must, type Target, text } from '../target.ts';

const names = [
  '02-wrong-key',
  '03-disk-missing',
  '06d-crash-in-upload',
  '06e-crash-in-install',
  '10-store-paths',
  '13-no-cpio',
];
// The recordings have the time and the stream before each line.
const said = (name: string): Uint8Array =>
  Uint8Array.from(
    Buffer.from(
      Buffer.from(fileSeed(`controller/src/install/fixtures/${name}.txt`))
        .toString('latin1')
        .replace(/^ *\d+\.\d+ [OE] /gm, ''),
      'latin1',
    ),
  );
const toplevel = '/nix/store/00000000000000000000000000000000-x';

export const target: Target = {
  name: 'nixos-anywhere',
  seeds: names.map(said),
  dictionary: [
    '### Formatting hard drive with disko ###\n',
    '### Uploading the system closure ###\n',
    '### Gathering machine facts ###\n',
    'copying 12 paths...\n',
    `copying path '${toplevel}' to 'ssh-ng://root@10.0.0.7'...\n`,
    'Permission denied (publickey)\n',
    'No space left on device\n',
    'Timeout, server ',
    "path '/nix/store/",
    'error: ',
    '\u001b[1m',
    '\u001b]0;',
    '\r',
    toplevel,
  ],
  allowed: [],
  run(bytes) {
    const progress = readProgress(new Map([[toplevel, 1000]]));
    const cause = watchCause('machine1', '10.0.0.7', 'disko');
    let atMs = 0;
    const lines = splitCleanLines((line) => {
      must(line.length <= maxLineLength + 1, 'a line is bounded');
      must(!/[\x00-\x1f\x7f-\x9f]/.test(line), 'a line has no control characters');
      atMs += 1;
      progress.read(line, atMs);
      cause.read(line, progress.step);
    });
    for (let at = 0; at < bytes.length; at += 700) lines.push(bytes.subarray(at, at + 700));
    lines.end();
    const { step } = progress;
    for (const status of [0, 1, 127, 255])
      must(cause.explain({ kind: 'status', status, step }).sentence !== '', 'a sentence');
    cause.explain({ kind: 'deadline', limitMs: 1000, step });
    const output = text(bytes);
    for (const status of [0, 255]) readAnswer({ status, stdout: output, stderr: output }, toplevel, 'key');
  },
};
