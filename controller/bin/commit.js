// Which commit a checkout is at, without git: its files say it. Plain JavaScript that old Nodes take too.
import { readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** @param {string} path */
const read = (path) => readFileSync(path, 'utf8').trim();

/**
 * @param {string} root
 * @returns {string} 40 (or 64) hexadecimal digits; empty when it is no checkout, or one of a kind that this doesn't know
 */
export function checkedOutCommit(root) {
  try {
    const dot = join(root, '.git');
    // In a work tree of another checkout it is a file: `gitdir: PATH`, and the branches are in that one's folder.
    const folder = statSync(dot).isDirectory() ? dot : resolve(root, read(dot).replace(/^gitdir: /, ''));
    const head = read(join(folder, 'HEAD'));
    return isCommit(head) ? head : branch(folder, head.replace(/^ref: /, ''));
  } catch {
    return '';
  }
}

/** @param {string} text */
const isCommit = (text) => /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(text);

/**
 * @param {string} folder
 * @param {string} name
 */
function branch(folder, name) {
  let shared = folder;
  try {
    shared = resolve(folder, read(join(folder, 'commondir')));
  } catch {
    // the checkout's own
  }
  let found = '';
  try {
    found = read(join(shared, name));
  } catch {
    const line = read(join(shared, 'packed-refs'))
      .split('\n')
      .find((each) => each.endsWith(` ${name}`));
    found = line === undefined ? '' : (line.split(' ')[0] ?? '');
  }
  return isCommit(found) ? found : '';
}
