import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { completionScript, shells } from './completion.ts';
import { buildProgram, type Handlers, hiddenCommands } from './program.ts';
import { offers } from './run-options.ts';

const never = () => Promise.reject(new Error('not to be called'));
const handlers: Handlers = {
  install: never,
  serve: never,
  check: never,
  explain: never,
  wake: never,
  retry: never,
  cancel: never,
  status: never,
  inventory: never,
  inventoryOnly: never,
  logs: never,
  doctor: never,
  relay: never,
  relayToken: never,
  names: never,
};
const around = { cwd: '/', uid: 0, env: {}, readFile: () => new Uint8Array(), look: () => undefined };
const program = buildProgram(handlers, { around, version: '1', out: () => {}, err: () => {} }, () => {});

test('bash: what is offered at each place', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-completion-'));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'script'), completionScript(program, 'bash')!);
  writeFileSync(join(folder, 'hosts.json'), '{}');
  mkdirSync(join(folder, 'state'));
  // Stands for the program when the script asks for the names of hosts.
  writeFileSync(
    join(folder, 'nixie'),
    '#!/bin/sh\n[ "$*" = "complete-hosts hosts.json" ] && printf "web1\\nweb2\\ndb\\n"; [ "$*" = "complete-hosts --state s" ] && echo live\n',
    { mode: 0o755 },
  );
  const complete = (...words: string[]): string[] => {
    const line = `source ./script; COMP_WORDS=(./nixie "$@"); COMP_CWORD=$#; _nixie; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const text = execFileSync('bash', ['--norc', '-c', line, 'bash', ...words], { cwd: folder, encoding: 'utf8' });
    return text.split('\n').filter(Boolean).sort();
  };
  assert.deepEqual(complete(''), [
    'cancel',
    'check',
    'completion',
    'doctor',
    'explain',
    'install',
    'inventory',
    'logs',
    'relay',
    'relay-token',
    'retry',
    'serve',
    'status',
    'wake',
  ]);
  assert.deepEqual(complete('w'), ['wake']);
  assert.deepEqual(complete('--inst'), ['--install-timeout', '--installer']);
  assert.deepEqual(complete('check', '--inst'), ['--installer']);
  assert.deepEqual(complete('--dhcp', ''), ['off', 'proxy', 'range=']);
  assert.deepEqual(complete('--hosts', 'ho'), ['hosts.json']);
  assert.deepEqual(complete('--hosts', '=', 'ho'), ['hosts.json']);
  assert.deepEqual(complete('--state', 's'), ['state']);
  assert.deepEqual(complete('--hosts', 'hosts.json', '--only', 'w'), ['web1', 'web2']);
  assert.deepEqual(complete('--hosts', '=', 'hosts.json', '--reinstall', ''), ['db', 'web1', 'web2']);
  assert.deepEqual(complete('wake', '--hosts', 'hosts.json', ''), ['db', 'web1', 'web2']);
  assert.deepEqual(complete('retry', '--state', 's', ''), ['live']);
  assert.deepEqual(complete('cancel', '--state', '=', 's', 'li'), ['live']);
  assert.deepEqual(complete('logs', '--state', 's', ''), ['live']);
  assert.deepEqual(complete('doctor', '--state', 's', ''), ['live']);
  assert.ok(complete('doctor', '--interface', '').includes('lo'));
  assert.deepEqual(complete('logs', 'live', '--stage', 'pr'), ['preflight', 'probing', 'proved', 'proving']);
  assert.deepEqual(complete('--only', ''), []);
  assert.deepEqual(complete('--jobs', ''), []);
  assert.deepEqual(complete('completion', ''), ['bash', 'fish', 'zsh']);
  assert.ok(complete('--interface', 'l').includes('lo'));
});

test('every script is whole: all commands, and all options with their values', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-completion-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const shell of shells) {
    const script = completionScript(program, shell)!;
    for (const command of program.commands.filter((each) => !hiddenCommands.includes(each.name()))) {
      assert.ok(script.includes(command.name()), `${shell}: ${command.name()}`);
      for (const option of command.options)
        assert.ok(script.includes(option.long!.replace(/^--/, '')), `${shell}: ${option.long}`);
    }
    assert.ok(!/\$\{[a-z]+\.|undefined/.test(script), shell);
    writeFileSync(join(folder, shell), script);
    const check = spawnSync(shell, ['-n', join(folder, shell)]);
    if (check.error !== undefined) t.diagnostic(`${shell} is not here: its script was not parsed by it`);
    else assert.equal(check.status, 0, check.stderr.toString());
  }
  assert.equal(completionScript(program, 'tcsh'), undefined);
});

test('what is offered belongs to an option that takes a value', () => {
  const all = program.commands.flatMap((command) => command.options);
  for (const name of Object.keys(offers))
    assert.ok(
      all.some((option) => option.long === `--${name}` && option.required),
      name,
    );
});
