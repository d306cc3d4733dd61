import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import test from 'node:test';

const program = join(import.meta.dirname, 'nixie.ts');
const store = (name: string) => `/nix/store/${'a'.repeat(32)}-${name}`;
const output = (name: string) => ({ drv: `${store(name)}.drv`, out: store(name) });
const evaluation = {
  names: ['web1', 'installer'],
  hosts: { web1: { value: { toplevel: output('web1'), diskoScript: output('disko'), hostName: 'web1' } } },
  installers: { installer: { value: { system: 'x86_64-linux', bundle: output('installer') } } },
};
const flake = {
  url: 'git+file:///fleet',
  path: store('source'),
  locked: { type: 'git', rev: 'abc', narHash: 'sha256-x' },
};

/** Programs that stand for nix: every call is written down, every build is there already. */
function fakeNix(folder: string): string {
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  const script = (name: string, text: string) => {
    writeFileSync(join(bin, name), `#!/bin/sh\necho "${name} $*" >> ${join(folder, 'calls')}\n${text}\n`);
    chmodSync(join(bin, name), 0o755);
  };
  script(
    'nix',
    `case " $* " in
*' flake '*) echo '${JSON.stringify(flake)}' ;;
*' path-info '*) echo '{}' ;;
*) echo '${JSON.stringify(evaluation)}' ;;
esac`,
  );
  script('nix-store', '');
  return bin;
}

test('a dry run beside a run in the same state folder neither takes its lock nor replaces what it keeps', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'nixie-dry-run-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const state = join(folder, 'state');
  mkdirSync(join(state, 'gcroots'), { recursive: true, mode: 0o700 });
  writeFileSync(join(state, 'lock'), 'of a run');
  const hosts = join(folder, 'hosts.json');
  writeFileSync(hosts, '{"web1": {"mac_address": "52:54:00:00:00:01"}}');
  const bin = fakeNix(folder);
  const flags = [
    '--dry-run',
    '--installer',
    `${folder}#installer`,
    '--flake',
    folder,
    '--hosts',
    hosts,
    '--state',
    state,
  ];
  const { stdout, stderr } = spawnSync(process.execPath, [program, 'install', ...flags], {
    encoding: 'utf8',
    timeout: 60_000,
    env: { PATH: [bin, process.env.PATH].join(delimiter), HOME: folder },
  });
  const calls = existsSync(join(folder, 'calls')) ? readFileSync(join(folder, 'calls'), 'utf8').split('\n') : [];
  const roots = calls.filter((call) => call.includes('--add-root'));
  assert.ok(roots.length > 0, `${stdout}${stderr}${calls.join('\n')}`);
  for (const call of roots) assert.ok(call.includes(`--add-root ${join(state, 'gcroots/dry-run/built')}`), call);
  assert.deepEqual(readdirSync(join(state, 'gcroots')), ['dry-run']);
  assert.equal(readFileSync(join(state, 'lock'), 'utf8'), 'of a run');
});
