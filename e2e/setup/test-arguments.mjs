// The one invocation of Node's test runner, so that there is one summary and one exit status.
import { join } from 'node:path';

// Files are run in the order of their names: agent, controller, e2e/fuzz, e2e/house, e2e/lab, e2e/nix, e2e/release, e2e/scenarios, e2e/setup, e2e/simulate, e2e/stories, proto. Two at a time keeps two
// cores busy with unit tests and never has more than two scenarios with emulated machines at once, which the scenarios' time limits assume.
const atOnce = 2;
const unit = [
  'proto/**/*.test.ts',
  'controller/**/*.test.ts',
  'agent/**/*.test.ts',
  'e2e/lab/**/*.test.ts',
  'e2e/setup/**/*.test.ts',
  'e2e/simulate/**/*.test.ts',
  'e2e/stories/**/*.test.ts',
];
const rest = [
  'e2e/fuzz/**/*.test.ts',
  'e2e/house/**/*.test.ts',
  'e2e/nix/**/*.test.ts',
  'e2e/release/**/*.test.ts',
  'e2e/scenarios/**/*.test.ts',
];

/**
 * @param {string} root
 * @param {'unit' | 'all'} which
 * @param {readonly string[]} extra options of the runner (`--test-name-pattern=…`), or files to run instead of all
 */
export function testArguments(root, which, extra) {
  const options = extra.filter((word) => word.startsWith('-'));
  const files = extra.filter((word) => !word.startsWith('-'));
  const all = which === 'unit' ? unit : [...unit, ...rest];
  return [
    '--test',
    `--test-concurrency=${atOnce}`,
    // A backstop: each scenario has its own, shorter limit.
    '--test-timeout=2400000',
    '--test-reporter=spec',
    '--test-reporter-destination=stdout',
    `--test-reporter=${join(root, 'e2e/setup/reporter.mjs')}`,
    '--test-reporter-destination=stdout',
    ...options,
    ...(files.length > 0 ? files : all),
  ];
}
